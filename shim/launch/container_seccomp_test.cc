// Seccomp as the specification has it: every action, operator and flag, more than one architecture,
// and an agent that answers notifications; each felt by a program inside.

#include <linux/seccomp.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "gtest/gtest.h"
#include "shim/launch/container_fixture.h"
#include "tests/testing/receive_descriptor.h"

namespace berth::launch {
namespace {

using absl::StrContains;

constexpr int kKilledBySigsys = 128 + SIGSYS;

class SeccompTest : public ContainerTest {
 protected:
  // A profile that allows everything but what `rules` say.
  void Profile(const std::string& rules, const std::string& members = "") {
    spec_.linux_members = absl::StrCat(R"("seccomp":{"defaultAction":"SCMP_ACT_ALLOW",)", members,
                                       R"("syscalls":[)", rules, "]},");
  }
  static std::string OnMkdir(const std::string& action, const std::string& members = "") {
    return absl::StrCat(R"({"names":["mkdir"],"action":")", action, "\"", members, "}");
  }
};

TEST_F(SeccompTest, EveryActionDoesWhatItSays) {
  struct Case {
    const char* action;
    const char* members;
    const char* command;
    const char* output;
    int exit_code;
  };
  for (const Case& c : {Case{"SCMP_ACT_KILL", "", "try", "", kKilledBySigsys},
                        Case{"SCMP_ACT_KILL_THREAD", "", "try", "", kKilledBySigsys},
                        Case{"SCMP_ACT_KILL_PROCESS", "", "try", "", kKilledBySigsys},
                        Case{"SCMP_ACT_TRAP", "", "try", "", kKilledBySigsys},
                        Case{"SCMP_ACT_TRAP", "", "trap", "trapped mkdir\n", 0},
                        Case{"SCMP_ACT_ERRNO", "", "try", "mkdir: EPERM\n", 0},
                        Case{"SCMP_ACT_ERRNO", R"(,"errnoRet":42)", "try", "mkdir: ENOMSG\n", 0},
                        // Nobody traces here.
                        Case{"SCMP_ACT_TRACE", R"(,"errnoRet":7)", "try", "mkdir: ENOSYS\n", 0},
                        Case{"SCMP_ACT_LOG", "", "try", "mkdir: ok\n", 0}}) {
    Profile(OnMkdir(c.action, c.members));
    const Outcome run = RunPayload({c.command, "mkdir"});
    EXPECT_TRUE(absl::StartsWith(run.output, c.output)) << c.action << ": " << run.output;
    EXPECT_EQ(run.exit_code, c.exit_code) << c.action << run.create << run.start;
    if (c.exit_code != 0) {
      EXPECT_EQ(run.output, "") << c.action;
    }
  }
}

TEST_F(SeccompTest, TheDefaultActionMeetsWhatNoRuleNames) {
  // Everything but mkdir and what a program needs to say so is allowed by name.
  spec_.linux_members =
      R"("seccomp":{"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":95,"syscalls":[{"names":[
      "read","write","close","execve","exit_group","brk","arch_prctl","set_tid_address","mprotect",
      "set_robust_list","rseq","prlimit64","readlink","readlinkat","getrandom","newfstatat","fstat",
      "uname","capset","sendmsg","mmap","munmap","openat","open","faccessat2"],
      "action":"SCMP_ACT_ALLOW"}]},)";
  EXPECT_EQ(RunPayload({"try", "mkdir"}).output, "mkdir: EOPNOTSUPP\n");
}

TEST_F(SeccompTest, EveryOperatorComparesAnArgument) {
  auto rule = [](const char* name, const char* op, const char* more = "") {
    return absl::StrCat(R"({"names":[")", name, R"("],"action":"SCMP_ACT_ERRNO","errnoRet":42,)",
                        R"("args":[{"index":0,"value":2000,"op":"SCMP_CMP_)", op, "\"", more,
                        "}]}");
  };
  Profile(absl::StrCat(rule("dup", "EQ"), ",", rule("fsync", "NE"), ",", rule("fdatasync", "LT"),
                       ",", rule("fchdir", "LE"), ",", rule("flock", "GT"), ",",
                       rule("ftruncate", "GE"), ",",
                       // The mask is `value`, what must be left of it valueTwo.
                       rule("fstatfs", "MASKED_EQ", R"(,"valueTwo":1024)")));
  const Outcome run = RunPayload(
      {"call", "dup",       "2000", ";",         "call", "dup",       "1999",  ";",
       "call", "fsync",     "2001", ";",         "call", "fsync",     "2000",  ";",
       "call", "fdatasync", "1999", ";",         "call", "fdatasync", "2000",  ";",
       "call", "fchdir",    "2000", ";",         "call", "fchdir",    "2001",  ";",
       "call", "flock",     "2001", "1",         ";",    "call",      "flock", "2000",
       "1",    ";",         "call", "ftruncate", "2000", ";",         "call",  "ftruncate",
       "1999", ";",         "call", "fstatfs",   "1024", ";",         "call",  "fstatfs",
       "1025", ";",         "call", "fstatfs",   "1040"});
  // 2000 is 0x7d0: of 1025 the mask leaves 1024, of 1040 (0x410) it leaves 0x410.
  EXPECT_EQ(run.output,
            "dup(2000): ENOMSG\ndup(1999): EBADF\nfsync(2001): ENOMSG\nfsync(2000): EBADF\n"
            "fdatasync(1999): ENOMSG\nfdatasync(2000): EBADF\nfchdir(2000): ENOMSG\n"
            "fchdir(2001): EBADF\nflock(2001): ENOMSG\nflock(2000): EBADF\n"
            "ftruncate(2000): ENOMSG\nftruncate(1999): EBADF\nfstatfs(1024): ENOMSG\n"
            "fstatfs(1025): ENOMSG\nfstatfs(1040): EBADF\n")
      << run.create << run.errors;
}

TEST_F(SeccompTest, ConditionsOnSeveralArgumentsHoldTogether) {
  Profile(R"({"names":["dup"],"action":"SCMP_ACT_ERRNO","errnoRet":42,"args":[
      {"index":0,"value":2000,"op":"SCMP_CMP_EQ"},{"index":1,"value":5,"op":"SCMP_CMP_EQ"}]},
      {"names":["fsync"],"action":"SCMP_ACT_ERRNO","errnoRet":42,"args":[
      {"index":0,"value":2000,"op":"SCMP_CMP_EQ"},{"index":0,"value":2001,"op":"SCMP_CMP_EQ"}]})");
  const Outcome run = RunPayload({"call", "dup", "2000", "5", ";", "call", "dup", "2000", "6", ";",
                                  "call", "fsync", "2000", ";", "call", "fsync", "2001"});
  // On the same argument they are alternatives.
  EXPECT_EQ(run.output,
            "dup(2000): ENOMSG\ndup(2000): EBADF\nfsync(2000): ENOMSG\nfsync(2001): ENOMSG\n");
}

TEST_F(SeccompTest, EveryFlagIsTakenByTheKernel) {
  const char* const flags[] = {"SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_LOG",
                               "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
                               // Of notifications, and there are none in this profile.
                               "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"};
  for (const char* flag : flags) {
    Profile(OnMkdir("SCMP_ACT_ERRNO"), absl::StrCat(R"("flags":[")", flag, R"("],)"));
    const Outcome run = RunPayload({"try", "mkdir", ";", "status", "Seccomp"});
    EXPECT_TRUE(StrContains(run.output, "mkdir: EPERM\nSeccomp:\t2\n")) << flag << run.start;
  }
  Profile(OnMkdir("SCMP_ACT_ERRNO"), R"("flags":["SECCOMP_FILTER_FLAG_SOMETIMES"],)");
  EXPECT_TRUE(StrContains(RunPayload({"true"}).create.message(), "$.linux.seccomp.flags[0]"));
  // Without SPEC_ALLOW a filter switches speculation off where the processor can; with it, not.
  auto speculation = [&](const char* members) {
    Profile(OnMkdir("SCMP_ACT_ERRNO"), members);
    return RunPayload({"status", "Speculation_Store_Bypass"}).output;
  };
  const std::string without = speculation("");
  const std::string with = speculation(R"("flags":["SECCOMP_FILTER_FLAG_SPEC_ALLOW"],)");
  EXPECT_FALSE(StrContains(with, "force mitigated")) << with << without;
}

TEST_F(SeccompTest, RulesHoldForEachListedArchitecture) {
#if defined(__x86_64__)
  const std::string rule = R"({"names":["getppid"],"action":"SCMP_ACT_ERRNO","errnoRet":42})";
  Profile(rule, R"("architectures":["SCMP_ARCH_X86_64","SCMP_ARCH_X86"],)");
  Outcome run = RunPayload({"call", "getppid32", "0"});
  if (run.exit_code == 128 + SIGSEGV) GTEST_SKIP() << "this kernel has no 32-bit calls";
  EXPECT_EQ(run.output, "getppid32(0): ENOMSG\n");
  Profile(rule, R"("architectures":["SCMP_ARCH_X86_64"],)");
  run = RunPayload({"call", "getppid32", "0"});
  EXPECT_EQ(run.output, "getppid32(0): ok\n");
#endif
  Profile(OnMkdir("SCMP_ACT_ERRNO"), R"("architectures":["SCMP_ARCH_ABACUS"],)");
  EXPECT_TRUE(StrContains(RunPayload({"true"}).create.message(), "architectures[0]"));
}

TEST_F(SeccompTest, AnAgentAnswersForTheKernel) {
  auto agent = ListenUnix(Path("agent.sock"), 0600, 1);
  ASSERT_TRUE(agent.ok()) << agent.status();
  for (const char* flags :
       {"", "\"SECCOMP_FILTER_FLAG_TSYNC\"",
        R"("SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV","SECCOMP_FILTER_FLAG_LOG")"}) {
    Profile(R"({"names":["sethostname"],"action":"SCMP_ACT_NOTIFY"})",
            absl::StrCat(R"("flags":[)", flags, R"(],"listenerPath":")", Path("agent.sock"),
                         R"(","listenerMetadata":"told",)"));
    ASSERT_EQ(CreateContainer({"sethostname", "mine"}), absl::OkStatus());
    ASSERT_EQ(Await([&](Container::Done done) { container_->Start(std::move(done)); }),
              absl::OkStatus());
    std::string text;
    const UniqueFd listener = AcceptDescriptor(*agent, text);
    ASSERT_TRUE(listener.valid()) << flags;
    EXPECT_TRUE(StrContains(text, R"("metadata":"told")")) << text;
    struct seccomp_notif request = {};
    ASSERT_EQ(::ioctl(listener.get(), SECCOMP_IOCTL_NOTIF_RECV, &request), 0);
    EXPECT_EQ(request.data.args[1], 4u);  // the length of "mine"
    struct seccomp_notif_resp answer = {};
    answer.id = request.id;
    answer.error = -EDOM;
    ASSERT_EQ(::ioctl(listener.get(), SECCOMP_IOCTL_NOTIF_SEND, &answer), 0);
    EXPECT_EQ(*ReadAll(out_, 4096), "sethostname: EDOM\n");
    EXPECT_EQ(WaitForExit(container_->init_pidfd()), 0);
    EXPECT_EQ(Await([&](Container::Done done) { container_->Cleanup(std::move(done)); }),
              absl::OkStatus());
    container_.reset();
  }
}

TEST_F(SeccompTest, ExecsAreUnderTheFilterToo) {
  Profile(OnMkdir("SCMP_ACT_ERRNO", R"(,"errnoRet":42)"));
  StartServing();
  EXPECT_EQ(ExecPayload({"try", "mkdir", ";", "status", "Seccomp:"}).output,
            "mkdir: ENOMSG\nSeccomp:\t2\n");
  StopServing();
}

TEST_F(SeccompTest, WhatMakesNoSenseIsRefusedByItsPath) {
  struct Case {
    std::string rules;
    std::string members;
    const char* words;
  };
  for (const Case& c :
       {Case{OnMkdir("SCMP_ACT_LOG", R"(,"errnoRet":1)"), "", "syscalls[0].errnoRet"},
        Case{OnMkdir("SCMP_ACT_ERRNO", R"(,"errnoRet":4096)"), "", "must be at most 4095"},
        Case{OnMkdir("SCMP_ACT_ERRNO"), R"("listenerMetadata":"x",)", "needs a listenerPath"},
        Case{R"({"names":[],"action":"SCMP_ACT_LOG"})", "", "syscalls[0].names"},
        Case{R"({"names":["dup"],"action":"SCMP_ACT_LOG","args":[{"index":6,"value":0,
                "op":"SCMP_CMP_EQ"}]})",
             "", "args[0].index"}}) {
    Profile(c.rules, c.members);
    const absl::Status create = RunPayload({"true"}).create;
    EXPECT_TRUE(StrContains(create.message(), c.words)) << c.rules << create;
  }
}

}  // namespace
}  // namespace berth::launch
