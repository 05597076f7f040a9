#include <sched.h>

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "shim/spec/names.h"
#include "shim/spec/parse_parts.h"

namespace berth::spec {
namespace {

constexpr int kMaxCpu = 8191;  // the kernel's largest NR_CPUS

uint64_t ReadCapabilitySet(const Field& names, std::vector<std::string>& warnings) {
  uint64_t set = 0;
  names.ForEach([&](const Field& name) {
    const std::string text = name.String();
    if (std::optional<int> number = CapabilityNumber(text)) {
      set |= uint64_t{1} << *number;
    } else if (std::string warning = absl::StrCat("unknown capability \"", text, "\" is left out");
               std::find(warnings.begin(), warnings.end(), warning) == warnings.end()) {
      warnings.push_back(std::move(warning));
    }
  });
  return set;
}

void ReadCapabilities(const Field& section, CapabilitySets& sets,
                      std::vector<std::string>& warnings) {
  sets.bounding = ReadCapabilitySet(section.Get("bounding"), warnings);
  sets.effective = ReadCapabilitySet(section.Get("effective"), warnings);
  sets.inheritable = ReadCapabilitySet(section.Get("inheritable"), warnings);
  sets.permitted = ReadCapabilitySet(section.Get("permitted"), warnings);
  sets.ambient = ReadCapabilitySet(section.Get("ambient"), warnings);
}

void ReadLimits(const Field& section, std::vector<ResourceLimit>& limits) {
  section.ForEach([&](const Field& entry) {
    ResourceLimit limit;
    const Field type = entry.Get("type");
    limit.name = type.String();
    std::optional<int> number = LimitNumber(limit.name);
    if (!number) return type.Fail(absl::StrCat("unknown resource limit \"", limit.name, "\""));
    limit.resource = *number;
    const Field soft = entry.Get("soft");
    limit.soft = soft.Uint64().value_or(0);
    limit.hard = entry.Get("hard").Uint64().value_or(0);
    if (limit.soft > limit.hard) {
      return soft.Fail(absl::StrCat(limit.soft, " is more than the hard limit ", limit.hard));
    }
    for (const ResourceLimit& other : limits) {
      if (other.resource == limit.resource) {
        return type.Fail(absl::StrCat(limit.name, " is listed twice"));
      }
    }
    limits.push_back(std::move(limit));
  });
}

void ReadScheduler(const Field& section, ProcessPlan& plan) {
  if (!section.present()) return;
  Scheduler scheduler;
  const Field policy = section.Get("policy");
  const std::string name = policy.String();
  if (std::optional<int> number = SchedulerPolicy(name)) {
    scheduler.policy = *number;
  } else {
    policy.Fail(absl::StrCat("unknown scheduling policy \"", name, "\""));
  }
  const Field nice = section.Get("nice");
  scheduler.nice = static_cast<int32_t>(nice.Int64().value_or(0));
  if (scheduler.nice < -20 || scheduler.nice > 19) nice.Fail("must be from -20 to 19");
  const Field priority = section.Get("priority");
  scheduler.priority = priority.Uint32().value_or(0);
  if (scheduler.priority != 0 && scheduler.policy != SCHED_FIFO && scheduler.policy != SCHED_RR) {
    priority.Fail("is only for SCHED_FIFO and SCHED_RR");
  }
  const Field flags = section.Get("flags");
  flags.ForEach([&](const Field& flag) {
    const std::string text = flag.String();
    if (std::optional<uint64_t> bit = SchedulerFlag(text)) {
      scheduler.flags |= *bit;
    } else {
      flag.Fail(absl::StrCat("unknown scheduling flag \"", text, "\""));
    }
  });
  scheduler.runtime_ns = section.Get("runtime").Uint64().value_or(0);
  scheduler.deadline_ns = section.Get("deadline").Uint64().value_or(0);
  scheduler.period_ns = section.Get("period").Uint64().value_or(0);
  constexpr int kDeadlinePolicy = 6;
  if (scheduler.policy != kDeadlinePolicy &&
      (scheduler.runtime_ns | scheduler.deadline_ns | scheduler.period_ns) != 0) {
    section.Fail("runtime, deadline and period are only for SCHED_DEADLINE");
  }
  plan.scheduler = scheduler;
}

void ReadIoPriority(const Field& section, ProcessPlan& plan) {
  if (!section.present()) return;
  IoPriority priority;
  const Field io_class = section.Get("class");
  const std::string name = io_class.String();
  std::optional<int> number = IoPriorityClass(name);
  if (!number) return io_class.Fail(absl::StrCat("unknown I/O priority class \"", name, "\""));
  priority.io_class = *number;
  const Field level = section.Get("priority");
  priority.priority = static_cast<int>(level.Int64().value_or(0));
  if (priority.priority < 0 || priority.priority > 7) return level.Fail("must be from 0 to 7");
  plan.io_priority = priority;
}

std::vector<int> ReadCpus(const Field& field) {
  const std::string text = field.String();
  if (text.empty()) return {};
  std::optional<std::vector<int>> cpus = ParseCpuList(text, kMaxCpu);
  if (!cpus || cpus->empty()) {
    field.Fail(absl::StrCat("expected a list of processors such as 0-3,7, found \"", text, "\""));
    return {};
  }
  return *std::move(cpus);
}

void ReadUser(const Field& user, ProcessPlan& plan) {
  plan.uid = user.Get("uid").Uint32().value_or(0);
  plan.gid = user.Get("gid").Uint32().value_or(0);
  const Field umask = user.Get("umask");
  if (std::optional<uint32_t> bits = umask.Uint32()) {
    if (*bits > 0777) return umask.Fail("must be at most 511 (octal 0777)");
    plan.umask = *bits;
  }
  user.Get("additionalGids").ForEach([&](const Field& gid) {
    if (std::optional<uint32_t> number = gid.Uint32()) plan.additional_gids.push_back(*number);
  });
}

void ReadConsoleSize(const Field& size, ProcessPlan& plan) {
  if (!size.present()) return;
  const Field height = size.Get("height");
  const Field width = size.Get("width");
  const uint64_t rows = height.Uint64().value_or(0);
  const uint64_t columns = width.Uint64().value_or(0);
  if (rows > 0xffff) return height.Fail("must be at most 65535");
  if (columns > 0xffff) return width.Fail("must be at most 65535");
  plan.console_size = ConsoleSize{static_cast<uint16_t>(rows), static_cast<uint16_t>(columns)};
}

void ReadOomScore(const Field& score, ProcessPlan& plan) {
  std::optional<int64_t> value = score.Int64();
  if (!value) return;
  if (*value < -1000 || *value > 1000) return score.Fail("must be from -1000 to 1000");
  plan.oom_score_adj = static_cast<int>(*value);
}

}  // namespace

void ReadProcess(const Field& process, ProcessPlan& plan, std::vector<std::string>& warnings) {
  plan.terminal = process.Get("terminal").Boolean();
  const Field console_size = process.Get("consoleSize");
  ReadConsoleSize(console_size, plan);
  const Field user = process.Get("user");
  ReadUser(user, plan);

  const Field args = process.Get("args");
  plan.args = args.Strings();
  if (plan.args.empty()) {
    args.Fail("empty: name a program to run");
  } else if (plan.args[0].empty()) {
    args.Fail("the program's name, args[0], is empty: no such file or directory");
  }
  process.Get("env").ForEach([&](const Field& variable) {
    std::string text = variable.String();
    // Docker passes names without "=" through to unset them; execve would take them, getenv not.
    if (absl::StrContains(text, "=")) plan.env.push_back(std::move(text));
  });
  const Field cwd = process.Get("cwd");
  plan.cwd = cwd.String();
  if (plan.cwd.empty()) {
    plan.cwd = "/";
  } else if (plan.cwd[0] != '/') {
    cwd.Fail(absl::StrCat("must be an absolute path, found \"", plan.cwd, "\""));
  }

  const Field capabilities = process.Get("capabilities");
  ReadCapabilities(capabilities, plan.capabilities, warnings);
  const Field limits = process.Get("rlimits");
  ReadLimits(limits, plan.limits);
  plan.no_new_privileges = process.Get("noNewPrivileges").Boolean();
  plan.apparmor_profile = process.Get("apparmorProfile").String();
  plan.selinux_label = process.Get("selinuxLabel").String();
  const Field score = process.Get("oomScoreAdj");
  ReadOomScore(score, plan);
  const Field scheduler = process.Get("scheduler");
  ReadScheduler(scheduler, plan);
  const Field io_priority = process.Get("ioPriority");
  ReadIoPriority(io_priority, plan);
  const Field affinity = process.Get("execCPUAffinity");
  const Field initial = affinity.Get("initial");
  plan.initial_cpus = ReadCpus(initial);
  const Field final_field = affinity.Get("final");
  plan.final_cpus = ReadCpus(final_field);
}

}  // namespace berth::spec
