#include "shim/spec/names.h"

#include <sched.h>
#include <signal.h>
#include <sys/resource.h>

#include <tuple>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif

namespace berth::spec {
namespace {

struct Name {
  absl::string_view name;
  uint64_t value;
};

template <size_t kSize>
std::optional<uint64_t> Find(const Name (&table)[kSize], absl::string_view name) {
  for (const Name& entry : table) {
    if (entry.name == name) return entry.value;
  }
  return std::nullopt;
}

template <size_t kSize>
std::optional<int> FindInt(const Name (&table)[kSize], absl::string_view name) {
  std::optional<uint64_t> value = Find(table, name);
  if (!value) return std::nullopt;
  return static_cast<int>(*value);
}

// In the order of their numbers, without "CAP_".
constexpr absl::string_view kCapabilities[kLastCapability + 1] = {"CHOWN",
                                                                  "DAC_OVERRIDE",
                                                                  "DAC_READ_SEARCH",
                                                                  "FOWNER",
                                                                  "FSETID",
                                                                  "KILL",
                                                                  "SETGID",
                                                                  "SETUID",
                                                                  "SETPCAP",
                                                                  "LINUX_IMMUTABLE",
                                                                  "NET_BIND_SERVICE",
                                                                  "NET_BROADCAST",
                                                                  "NET_ADMIN",
                                                                  "NET_RAW",
                                                                  "IPC_LOCK",
                                                                  "IPC_OWNER",
                                                                  "SYS_MODULE",
                                                                  "SYS_RAWIO",
                                                                  "SYS_CHROOT",
                                                                  "SYS_PTRACE",
                                                                  "SYS_PACCT",
                                                                  "SYS_ADMIN",
                                                                  "SYS_BOOT",
                                                                  "SYS_NICE",
                                                                  "SYS_RESOURCE",
                                                                  "SYS_TIME",
                                                                  "SYS_TTY_CONFIG",
                                                                  "MKNOD",
                                                                  "LEASE",
                                                                  "AUDIT_WRITE",
                                                                  "AUDIT_CONTROL",
                                                                  "SETFCAP",
                                                                  "MAC_OVERRIDE",
                                                                  "MAC_ADMIN",
                                                                  "SYSLOG",
                                                                  "WAKE_ALARM",
                                                                  "BLOCK_SUSPEND",
                                                                  "AUDIT_READ",
                                                                  "PERFMON",
                                                                  "BPF",
                                                                  "CHECKPOINT_RESTORE"};

constexpr Name kLimits[] = {
    {"RLIMIT_CPU", RLIMIT_CPU},           {"RLIMIT_FSIZE", RLIMIT_FSIZE},
    {"RLIMIT_DATA", RLIMIT_DATA},         {"RLIMIT_STACK", RLIMIT_STACK},
    {"RLIMIT_CORE", RLIMIT_CORE},         {"RLIMIT_RSS", RLIMIT_RSS},
    {"RLIMIT_NPROC", RLIMIT_NPROC},       {"RLIMIT_NOFILE", RLIMIT_NOFILE},
    {"RLIMIT_MEMLOCK", RLIMIT_MEMLOCK},   {"RLIMIT_AS", RLIMIT_AS},
    {"RLIMIT_LOCKS", RLIMIT_LOCKS},       {"RLIMIT_SIGPENDING", RLIMIT_SIGPENDING},
    {"RLIMIT_MSGQUEUE", RLIMIT_MSGQUEUE}, {"RLIMIT_NICE", RLIMIT_NICE},
    {"RLIMIT_RTPRIO", RLIMIT_RTPRIO},     {"RLIMIT_RTTIME", RLIMIT_RTTIME}};

struct NamespaceNames {
  int flag;
  absl::string_view name;
  absl::string_view file;
};
constexpr NamespaceNames kNamespaces[] = {
    {CLONE_NEWPID, "pid", "pid"},          {CLONE_NEWNET, "network", "net"},
    {CLONE_NEWNS, "mount", "mnt"},         {CLONE_NEWIPC, "ipc", "ipc"},
    {CLONE_NEWUTS, "uts", "uts"},          {CLONE_NEWUSER, "user", "user"},
    {CLONE_NEWCGROUP, "cgroup", "cgroup"}, {CLONE_NEWTIME, "time", "time"}};

constexpr uint64_t kRecursive = 1 << 14;
constexpr Name kPropagation[] = {{"unbindable", 1 << 17}, {"runbindable", 1 << 17 | kRecursive},
                                 {"private", 1 << 18},    {"rprivate", 1 << 18 | kRecursive},
                                 {"slave", 1 << 19},      {"rslave", 1 << 19 | kRecursive},
                                 {"shared", 1 << 20},     {"rshared", 1 << 20 | kRecursive}};

constexpr Name kPolicies[] = {{"SCHED_OTHER", 0},   {"SCHED_FIFO", 1}, {"SCHED_RR", 2},
                              {"SCHED_BATCH", 3},   {"SCHED_ISO", 4},  {"SCHED_IDLE", 5},
                              {"SCHED_DEADLINE", 6}};
constexpr Name kSchedulerFlags[] = {
    {"SCHED_FLAG_RESET_ON_FORK", 0x01}, {"SCHED_FLAG_RECLAIM", 0x02},
    {"SCHED_FLAG_DL_OVERRUN", 0x04},    {"SCHED_FLAG_KEEP_POLICY", 0x08},
    {"SCHED_FLAG_KEEP_PARAMS", 0x10},   {"SCHED_FLAG_UTIL_CLAMP_MIN", 0x20},
    {"SCHED_FLAG_UTIL_CLAMP_MAX", 0x40}};
constexpr Name kIoClasses[] = {
    {"IOPRIO_CLASS_RT", 1}, {"IOPRIO_CLASS_BE", 2}, {"IOPRIO_CLASS_IDLE", 3}};
constexpr Name kMemoryModes[] = {{"MPOL_DEFAULT", 0},
                                 {"MPOL_PREFERRED", 1},
                                 {"MPOL_BIND", 2},
                                 {"MPOL_INTERLEAVE", 3},
                                 {"MPOL_LOCAL", 4},
                                 {"MPOL_PREFERRED_MANY", 5},
                                 {"MPOL_WEIGHTED_INTERLEAVE", 6}};
constexpr Name kMemoryFlags[] = {{"MPOL_F_NUMA_BALANCING", 1 << 13},
                                 {"MPOL_F_RELATIVE_NODES", 1 << 14},
                                 {"MPOL_F_STATIC_NODES", 1 << 15}};
constexpr Name kSignals[] = {
    {"HUP", SIGHUP},       {"INT", SIGINT},     {"QUIT", SIGQUIT}, {"ILL", SIGILL},
    {"TRAP", SIGTRAP},     {"ABRT", SIGABRT},   {"IOT", SIGABRT},  {"BUS", SIGBUS},
    {"FPE", SIGFPE},       {"KILL", SIGKILL},   {"USR1", SIGUSR1}, {"SEGV", SIGSEGV},
    {"USR2", SIGUSR2},     {"PIPE", SIGPIPE},   {"ALRM", SIGALRM}, {"TERM", SIGTERM},
    {"STKFLT", SIGSTKFLT}, {"CHLD", SIGCHLD},   {"CLD", SIGCHLD},  {"CONT", SIGCONT},
    {"STOP", SIGSTOP},     {"TSTP", SIGTSTP},   {"TTIN", SIGTTIN}, {"TTOU", SIGTTOU},
    {"URG", SIGURG},       {"XCPU", SIGXCPU},   {"XFSZ", SIGXFSZ}, {"VTALRM", SIGVTALRM},
    {"PROF", SIGPROF},     {"WINCH", SIGWINCH}, {"IO", SIGIO},     {"POLL", SIGIO},
    {"PWR", SIGPWR},       {"SYS", SIGSYS},     {"RTMIN", 34},     {"RTMAX", 64}};

}  // namespace

std::optional<int> CapabilityNumber(absl::string_view name) {
  if (!absl::ConsumePrefix(&name, "CAP_")) return std::nullopt;
  for (int i = 0; i <= kLastCapability; ++i) {
    if (kCapabilities[i] == name) return i;
  }
  return std::nullopt;
}

std::string CapabilityName(int number) {
  if (number < 0 || number > kLastCapability) return absl::StrCat("CAP_", number);
  return absl::StrCat("CAP_", kCapabilities[number]);
}

std::optional<int> LimitNumber(absl::string_view name) { return FindInt(kLimits, name); }

std::optional<int> NamespaceFlag(absl::string_view name) {
  for (const NamespaceNames& entry : kNamespaces) {
    if (entry.name == name) return entry.flag;
  }
  return std::nullopt;
}

absl::string_view NamespaceName(int clone_flag) {
  for (const NamespaceNames& entry : kNamespaces) {
    if (entry.flag == clone_flag) return entry.name;
  }
  return "unknown";
}

absl::string_view NamespaceFile(int clone_flag) {
  for (const NamespaceNames& entry : kNamespaces) {
    if (entry.flag == clone_flag) return entry.file;
  }
  return "unknown";
}

std::optional<uint64_t> PropagationFlags(absl::string_view name) {
  return Find(kPropagation, name);
}
std::optional<int> SchedulerPolicy(absl::string_view name) { return FindInt(kPolicies, name); }
std::optional<uint64_t> SchedulerFlag(absl::string_view name) {
  return Find(kSchedulerFlags, name);
}
std::optional<int> IoPriorityClass(absl::string_view name) { return FindInt(kIoClasses, name); }
std::optional<int> MemoryPolicyMode(absl::string_view name) { return FindInt(kMemoryModes, name); }
std::optional<int> MemoryPolicyFlag(absl::string_view name) { return FindInt(kMemoryFlags, name); }

std::vector<std::string> MemoryPolicyModeNames() {
  std::vector<std::string> names;
  for (const auto& entry : kMemoryModes) names.emplace_back(entry.name);
  return names;
}

std::vector<std::string> MemoryPolicyFlagNames() {
  std::vector<std::string> names;
  for (const auto& entry : kMemoryFlags) names.emplace_back(entry.name);
  return names;
}

std::optional<int> SignalNumber(absl::string_view name) {
  int number = 0;
  if (absl::SimpleAtoi(name, &number)) {
    if (number < 1 || number > 64) return std::nullopt;
    return number;
  }
  const std::string upper = absl::AsciiStrToUpper(name);
  absl::string_view bare = upper;
  absl::ConsumePrefix(&bare, "SIG");
  if (auto found = FindInt(kSignals, bare)) return found;
  for (auto [prefix, base, sign] : {std::tuple("RTMIN+", 34, 1), std::tuple("RTMAX-", 64, -1)}) {
    absl::string_view rest = bare;
    if (absl::ConsumePrefix(&rest, prefix) && absl::SimpleAtoi(rest, &number) && number >= 0 &&
        number <= 30) {
      return base + sign * number;
    }
  }
  return std::nullopt;
}

std::optional<std::vector<int>> ParseCpuList(absl::string_view text, int limit) {
  std::vector<int> numbers;
  for (absl::string_view part : absl::StrSplit(text, ',', absl::SkipWhitespace())) {
    const std::pair<absl::string_view, absl::string_view> ends =
        absl::StrSplit(absl::StripAsciiWhitespace(part), absl::MaxSplits('-', 1));
    int first = 0;
    if (!absl::SimpleAtoi(ends.first, &first)) return std::nullopt;
    int last = first;
    if (!ends.second.empty() && !absl::SimpleAtoi(ends.second, &last)) return std::nullopt;
    if (first < 0 || last < first || last > limit) return std::nullopt;
    for (int i = first; i <= last; ++i) numbers.push_back(i);
  }
  return numbers;
}

}  // namespace berth::spec
