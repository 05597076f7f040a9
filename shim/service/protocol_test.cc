#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "proto/containerd/runc/v1/options.pb.h"
#include "shim/service/arguments.h"
#include "shim/service/bootstrap.h"
#include "shim/service/runtime_options.h"

namespace berth::service {
namespace {

TEST(ArgumentsTest, FlagsTakeTheirValueEitherWay) {
  const auto arguments = ParseArguments({"-namespace", "ns", "--id=x", "-address", "/a.sock",
                                         "-publish-binary", "/bin/c", "-debug", "start"});
  ASSERT_TRUE(arguments.ok()) << arguments.status();
  EXPECT_EQ(arguments->command, Command::kStart);
  EXPECT_EQ(arguments->namespace_name, "ns");
  EXPECT_EQ(arguments->id, "x");
  EXPECT_EQ(arguments->address, "/a.sock");
  EXPECT_TRUE(arguments->debug);
}

TEST(ArgumentsTest, VersionNeedsNothingElse) {
  EXPECT_EQ(ParseArguments({"-v"})->command, Command::kVersion);
  EXPECT_EQ(ParseArguments({"-info"})->command, Command::kInfo);
}

TEST(ArgumentsTest, WhatIsWrongIsNamed) {
  for (const std::vector<std::string>& words : {std::vector<std::string>{"-namespace", "ns"},
                                                {"-id", "x"},
                                                {"-namespace"},
                                                {"serve"},
                                                {"-nope", "-namespace", "ns", "-id", "x"},
                                                {}}) {
    EXPECT_EQ(ParseArguments(words).status().code(), absl::StatusCode::kInvalidArgument);
  }
}

google::protobuf::Any OptionsAny(const containerd::runc::v1::Options& options) {
  google::protobuf::Any any;
  any.set_type_url("containerd.runc.v1.Options");
  any.set_value(options.SerializeAsString());
  return any;
}

TEST(RuntimeOptionsTest, RuncOptionsAreTakenOver) {
  containerd::runc::v1::Options message;
  message.set_no_pivot_root(true);
  message.set_systemd_cgroup(true);
  message.set_shim_cgroup("/shims");
  message.set_io_uid(7);
  message.set_binary_name("/usr/bin/runc");
  const auto options = DecodeRuntimeOptions(OptionsAny(message));
  ASSERT_TRUE(options.ok()) << options.status();
  EXPECT_EQ(options->pivot, RuntimeOptions::Pivot::kNo);
  EXPECT_EQ(options->cgroups, RuntimeOptions::Cgroups::kSystemd);
  EXPECT_EQ(options->shim_cgroup, "/shims");
  EXPECT_EQ(options->io_uid, 7u);
}

TEST(RuntimeOptionsTest, ABinaryIsAnotherRuntimesUnlessItsNameIsOurs) {
  containerd::runc::v1::Options message;
  message.set_root("/run/records");
  for (const char* ours : {"", "runc", "/usr/sbin/runc", "berth-runtime", "/opt/berth-runtime"}) {
    message.set_binary_name(ours);
    const auto options = DecodeRuntimeOptions(OptionsAny(message));
    ASSERT_TRUE(options.ok()) << options.status();
    EXPECT_EQ(options->binary, "") << ours;
  }
  for (const char* other : {"crun", "/usr/bin/crun", "/usr/local/bin/plain-runc"}) {
    message.set_binary_name(other);
    const auto options = DecodeRuntimeOptions(OptionsAny(message));
    ASSERT_TRUE(options.ok()) << options.status();
    EXPECT_EQ(options->binary, other);
    EXPECT_EQ(options->root, "/run/records");
  }
}

TEST(RuntimeOptionsTest, AbsentAndForeignOptionsGiveDefaults) {
  google::protobuf::Any any;
  EXPECT_TRUE(DecodeRuntimeOptions(any).ok());
  any.set_type_url("runtimeoptions.v1.Options");
  any.set_value("\xff\xff");
  EXPECT_TRUE(DecodeRuntimeOptions(any).ok());
  any.set_type_url("type.googleapis.com/containerd.runc.v1.Options");
  EXPECT_EQ(DecodeRuntimeOptions(any).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(BootstrapTest, OldDaemonsGetTheAddress) {
  const auto request = ParseBootstrap("", "x", "");
  EXPECT_EQ(BootstrapAnswer(request.answer, "unix:///s"), "unix:///s");
}

TEST(BootstrapTest, MaxShimVersionAsksForJson) {
  containerd::runc::v1::Options message;
  message.set_shim_cgroup("/g");
  const auto request = ParseBootstrap(OptionsAny(message).SerializeAsString(), "x", "2");
  EXPECT_EQ(request.options.type_url(), "containerd.runc.v1.Options");
  EXPECT_EQ(BootstrapAnswer(request.answer, "unix:///s"),
            R"({"version":2,"address":"unix:///s","protocol":"ttrpc"})");
}

TEST(BootstrapTest, MessageWithOurIdIsAnsweredByAMessage) {
  containerd::runc::v1::Options message;
  message.set_shim_cgroup("/g");
  const std::string any = OptionsAny(message).SerializeAsString();
  const std::string extension = std::string("\x0a") + static_cast<char>(any.size()) + any;
  const std::string input = std::string("\x0a\1x\x12\2ns\x18\1") + "\x42" +
                            static_cast<char>(extension.size()) + extension + "\x4a\4/run";
  const auto request = ParseBootstrap(input, "x", "2");
  EXPECT_EQ(request.answer, BootstrapRequest::Answer::kMessage);
  EXPECT_EQ(request.socket_directory, "/run");
  EXPECT_EQ(request.options.type_url(), "containerd.runc.v1.Options");
  EXPECT_EQ(BootstrapAnswer(request.answer, "unix:///s"),
            std::string("\x08\2\x12\x09unix:///s\x1a\5ttrpc"));
}

TEST(BootstrapTest, GarbageIsNoRequest) {
  const auto request = ParseBootstrap("\xff\xff\xff", "x", "");
  EXPECT_EQ(request.answer, BootstrapRequest::Answer::kAddress);
  EXPECT_TRUE(request.options.type_url().empty());
}

}  // namespace
}  // namespace berth::service
