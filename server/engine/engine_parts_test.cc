// The engine's pure parts: words, filters, merges, logs.
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/os/file_io.h"
#include "gtest/gtest.h"
#include "server/engine/config_merge.h"
#include "server/engine/container_list.h"
#include "server/engine/exit_code.h"
#include "server/engine/log_options.h"
#include "server/engine/log_reader.h"
#include "server/engine/names.h"
#include "server/engine/network_files.h"
#include "server/engine/process_list.h"
#include "server/engine/seccomp_option.h"
#include "server/engine/until.h"

namespace berth::engine {
namespace {

TEST(NamesTest, RandomOnesAreValid) {
  EXPECT_EQ(RandomId().size(), 64u);
  EXPECT_NE(RandomId(), RandomId());
  for (int attempt = 0; attempt < 8; ++attempt) {
    EXPECT_TRUE(ValidateContainerName(RandomName(attempt)).ok());
  }
  EXPECT_FALSE(ValidateContainerName("-x").ok());
  EXPECT_FALSE(ValidateContainerName("a/b").ok());
  EXPECT_FALSE(LooksLikeId("xyz"));
}

TEST(ContainerListTest, DurationsReadAsDockers) {
  EXPECT_EQ(HumanDuration(absl::ZeroDuration()), "Less than a second");
  EXPECT_EQ(HumanDuration(absl::Seconds(59)), "59 seconds");
  EXPECT_EQ(HumanDuration(absl::Seconds(60)), "About a minute");
  EXPECT_EQ(HumanDuration(absl::Minutes(59)), "59 minutes");
  EXPECT_EQ(HumanDuration(absl::Minutes(60)), "About an hour");
  EXPECT_EQ(HumanDuration(absl::Hours(47)), "47 hours");
  EXPECT_EQ(HumanDuration(absl::Hours(48)), "2 days");
  EXPECT_EQ(HumanDuration(absl::Hours(24 * 21)), "3 weeks");
}

v1::ContainerSummary Summary(const std::string& id, v1::Status status) {
  v1::ContainerSummary summary;
  summary.set_id(id);
  summary.add_names("n" + id);
  summary.set_image("busybox");
  summary.mutable_state()->set_status(status);
  (*summary.mutable_labels())["k"] = id;
  return summary;
}

std::string Select(v1::ListContainersRequest request) {
  std::vector<v1::ContainerSummary> list = {Summary("c", v1::STATUS_RUNNING),
                                            Summary("b", v1::STATUS_EXITED),
                                            Summary("a", v1::STATUS_CREATED)};
  const absl::Status status = SelectContainers(request, absl::UnixEpoch(), list);
  if (!status.ok()) return std::string(status.message());
  std::string ids;
  for (const auto& container : list) ids += container.id();
  return ids;
}

TEST(ContainerListTest, FiltersChoose) {
  v1::ListContainersRequest request;
  EXPECT_EQ(Select(request), "c");
  request.set_all(true);
  EXPECT_EQ(Select(request), "cba");
  request.set_last(2);
  EXPECT_EQ(Select(request), "cb");
  request.clear_last();
  const auto with = [&](const char* key, const char* value) {
    v1::ListContainersRequest filtered = request;
    (*filtered.mutable_filters())[key].add_values(value);
    return Select(filtered);
  };
  EXPECT_EQ(with("status", "exited"), "b");
  EXPECT_EQ(with("label", "k=a"), "a");
  EXPECT_EQ(with("label", "k"), "cba");
  EXPECT_EQ(with("name", "^na$"), "a");
  EXPECT_EQ(with("before", "nb"), "a");
  EXPECT_EQ(with("since", "b"), "c");
  EXPECT_EQ(with("ancestor", "busybox:latest"), "cba");
  EXPECT_EQ(with("nonsense", "1"), "invalid filter 'nonsense'");
  EXPECT_EQ(with("status", "odd"), "invalid filter 'status=odd'");
}

TEST(ConfigMergeTest, TheImageFillsIn) {
  image::ImageConfig image;
  image.entrypoint = {"/entry"};
  image.command = {"cmd"};
  image.environment = {"A=1", "B=2"};
  image.user = "web";
  v1::ContainerConfig asked;
  asked.add_environment("A=9");
  asked.add_environment("B");
  const auto merged = MergeConfig(asked, image);
  ASSERT_TRUE(merged.ok()) << merged.status();
  EXPECT_EQ(ArgumentsOf(*merged), (std::vector<std::string>{"/entry", "cmd"}));
  EXPECT_EQ(merged->environment_size(), 1);
  EXPECT_EQ(merged->environment(0), "A=9");
  EXPECT_EQ(merged->user(), "web");
  asked.add_entrypoint("sh");
  EXPECT_EQ(ArgumentsOf(*MergeConfig(asked, image)), std::vector<std::string>{"sh"});
  EXPECT_FALSE(MergeConfig({}, image::ImageConfig()).ok());
}

TEST(ConfigMergeTest, SignalsByNameAndNumber) {
  EXPECT_EQ(*ParseSignal("SIGTERM"), 15);
  EXPECT_EQ(*ParseSignal("kill"), 9);
  EXPECT_EQ(*ParseSignal("12"), 12);
  EXPECT_EQ(*ParseSignal("RTMIN+3"), *ParseSignal("RTMIN") + 3);
  EXPECT_FALSE(ParseSignal("0").ok());
  EXPECT_FALSE(ParseSignal("SIGNO").ok());
}

TEST(ExitCodeTest, TheProgramsFaultOnly) {
  EXPECT_EQ(ExitCodeOfStart(absl::NotFoundError("exec: \"x\": executable file not found"), "x"),
            127);
  EXPECT_EQ(ExitCodeOfStart(absl::UnknownError("exec x: permission denied"), "x"), 126);
  EXPECT_EQ(ExitCodeOfStart(absl::NotFoundError("mount: no such file or directory"), "xyz"), 128);
}

TEST(LogOptionsTest, Sizes) {
  EXPECT_EQ(*ParseSize("10m"), 10 << 20);
  EXPECT_EQ(*ParseSize("1KiB"), 1024);
  EXPECT_FALSE(ParseSize("m").ok());
  EXPECT_FALSE(ParseSize("-1").ok());
}

TEST(NetworkFilesTest, HostsAndResolver) {
  v1::HostConfig host;
  host.add_extra_hosts("far:1.2.3.4");
  host.add_extra_hosts("six:[::2]");
  const auto hosts = MakeHosts(host, "box", "ignored");
  ASSERT_TRUE(hosts.ok());
  EXPECT_TRUE(absl::StrContains(*hosts, "127.0.0.1\tbox\n1.2.3.4\tfar\n::2\tsix\n")) << *hosts;
  host.add_extra_hosts("bad");
  EXPECT_FALSE(MakeHosts(host, "box", "").ok());
  v1::HostConfig dns;
  dns.add_dns("9.9.9.9");
  EXPECT_EQ(MakeResolvConf(dns, "nameserver 1.1.1.1\nsearch a\n"),
            "search a\nnameserver 9.9.9.9\n");
}

TEST(SeccompOptionTest, DockersConditionsAreDecided) {
  const auto profile = ParseSeccompOption(
      R"({"defaultAction":"SCMP_ACT_ERRNO","syscalls":[
          {"names":["a"],"action":"SCMP_ACT_ALLOW"},
          {"names":["b"],"action":"SCMP_ACT_ALLOW","includes":{"caps":["CAP_X"]}},
          {"names":["c"],"action":"SCMP_ACT_ALLOW","excludes":{"caps":["CAP_Y"]}}]})",
      {"CAP_Y"});
  ASSERT_TRUE(profile.ok()) << profile.status();
  ASSERT_EQ((*profile)["syscalls"].size(), 1u);
  EXPECT_EQ((*profile)["syscalls"][0]["names"][0], "a");
  EXPECT_FALSE(ParseSeccompOption("[]", {}).ok());
  EXPECT_FALSE(ParseSeccompOption("{", {}).ok());
}

TEST(ProcessListTest, KeepsThePidsLines) {
  const auto top = ParsePs("UID PID CMD\nroot 1 init\nroot 7 sleep 10\n", {7});
  ASSERT_TRUE(top.ok());
  ASSERT_EQ(top->processes_size(), 1);
  EXPECT_EQ(top->processes(0).fields(2), "sleep 10");
  EXPECT_FALSE(ParsePs("A B\n", {7}).ok());
}

TEST(UntilTest, IsADurationOrATime) {
  const absl::Time now = absl::FromUnixSeconds(10'000);
  EXPECT_EQ(*ParseUntil("1h", now), now - absl::Hours(1));
  EXPECT_EQ(*ParseUntil("77", now), absl::FromUnixSeconds(77));
  EXPECT_EQ(*ParseUntil("1970-01-01T00:01:00Z", now), absl::FromUnixSeconds(60));
  EXPECT_FALSE(ParseUntil("soon", now).ok());
}

class LogReaderTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "/log-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    path_ = pattern + "/log";
  }
  void Append(const std::string& text, const char* stream = "stdout", int second = 1) {
    FILE* file = std::fopen(path_.c_str(), "a");
    ASSERT_NE(file, nullptr);
    std::fprintf(file,
                 "{\"log\":\"%s\\n\",\"stream\":\"%s\",\"time\":\"1970-01-01T00:00:%02dZ\"}\n",
                 text.c_str(), stream, second);
    std::fclose(file);
  }
  void Rotate() {
    ::rename((path_ + ".1").c_str(), (path_ + ".2").c_str());
    ::rename(path_.c_str(), (path_ + ".1").c_str());
  }
  static std::string ReadAll(LogReader& reader) {
    std::string text;
    while (true) {
      v1::LogsResponse response;
      const auto records = reader.Read(response);
      EXPECT_TRUE(records.ok()) << records.status();
      for (const auto& entry : response.entries()) text += entry.data();
      if (!records.ok() || *records == 0) return text;
    }
  }
  std::string path_;
};

TEST_F(LogReaderTest, FollowsThroughRotations) {
  Append("a");
  Rotate();
  Append("b");
  LogReader reader(path_, {});
  EXPECT_EQ(ReadAll(reader), "a\nb\n");
  Append("c");
  Rotate();
  Append("d");
  Rotate();
  Append("e");
  EXPECT_EQ(ReadAll(reader), "c\nd\ne\n");
}

TEST_F(LogReaderTest, TailCountsOverFilesAndStreamsAreChosen) {
  Append("a");
  Append("b", "stderr");
  Rotate();
  Append("c", "stdout", 30);
  v1::LogsRequest request;
  request.set_tail(2);
  LogReader tail(path_, request);
  EXPECT_EQ(ReadAll(tail), "b\nc\n");
  request.clear_tail();
  request.set_stderr(true);
  LogReader errors(path_, request);
  EXPECT_EQ(ReadAll(errors), "b\n");
  request.clear_stderr();
  request.mutable_since()->set_seconds(2);
  LogReader since(path_, request);
  EXPECT_EQ(ReadAll(since), "c\n");
  request.clear_since();
  request.mutable_until()->set_seconds(2);
  LogReader until(path_, request);
  EXPECT_EQ(ReadAll(until), "a\nb\n");
}

TEST_F(LogReaderTest, NoLogYetIsEmptyAndHalfALineWaits) {
  LogReader reader(path_, {});
  EXPECT_EQ(ReadAll(reader), "");
  const auto half = [&](const char* text) {
    FILE* file = std::fopen(path_.c_str(), "a");
    std::fputs(text, file);
    std::fclose(file);
  };
  half("{\"log\":\"x\\n\",\"stream\":\"stdout\",");
  EXPECT_EQ(ReadAll(reader), "");
  half("\"time\":\"1970-01-01T00:00:01Z\"}\n");
  EXPECT_EQ(ReadAll(reader), "x\n");
}

}  // namespace
}  // namespace berth::engine
