// ps, kill, delete, pause, resume, update: the commands about a container that exists.
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/json/writer.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "base/os/spawn.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"
#include "shim/cgroup/cgroup.h"
#include "shim/cgroup/intel_rdt.h"
#include "shim/cgroup/limits.h"
#include "shim/oci/commands.h"
#include "shim/oci/foreground.h"
#include "shim/spec/names.h"
#include "shim/spec/parse.h"

namespace berth::oci {
namespace {

constexpr absl::Duration kDeleteTimeout = absl::Seconds(30);

absl::StatusOr<ContainerRecord> LoadArgument(const CommandContext& context) {
  BERTH_ASSIGN_OR_RETURN(const std::string id, ContainerArgument(context));
  return context.store.Load(id);
}

void Print(const std::string& text) { ::fwrite(text.data(), 1, text.size(), stdout); }

// The columns of `ps` whose PID is in the container, with the heading.
absl::Status PrintPsTable(const std::vector<pid_t>& pids, std::vector<std::string> arguments) {
  if (arguments.empty()) arguments = {"-ef"};
  BERTH_ASSIGN_OR_RETURN(Pipe pipe, MakePipe());
  SpawnOptions options;
  options.executable = "/bin/ps";
  options.arguments = {"ps"};
  options.arguments.insert(options.arguments.end(), arguments.begin(), arguments.end());
  options.environment = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"};
  options.descriptors = {{1, pipe.write.get()}, {2, STDERR_FILENO}};
  BERTH_ASSIGN_OR_RETURN(ChildProcess child, Spawn(options));
  pipe.write.Reset();
  BERTH_ASSIGN_OR_RETURN(const std::string table, ReadAll(pipe.read, 64u << 20));
  BERTH_RETURN_IF_ERROR(child.Wait(absl::Seconds(10)));
  int column = -1;
  for (absl::string_view line : absl::StrSplit(table, '\n', absl::SkipEmpty())) {
    const std::vector<absl::string_view> fields =
        absl::StrSplit(line, absl::ByAnyChar(" \t"), absl::SkipEmpty());
    if (column < 0) {
      for (size_t i = 0; i < fields.size(); ++i) {
        if (fields[i] == "PID") column = static_cast<int>(i);
      }
      if (column < 0) return absl::InvalidArgumentError("couldn't find PID field in ps output");
      Print(absl::StrCat(line, "\n"));
      continue;
    }
    pid_t pid = 0;
    if (static_cast<size_t>(column) < fields.size() && absl::SimpleAtoi(fields[column], &pid) &&
        std::find(pids.begin(), pids.end(), pid) != pids.end()) {
      Print(absl::StrCat(line, "\n"));
    }
  }
  return absl::OkStatus();
}

// Who shares the pid namespace of `init`, which is not ours.
absl::StatusOr<std::vector<pid_t>> NamespaceMembers(pid_t init) {
  struct stat ours;
  struct stat theirs;
  const std::string link = absl::StrCat("/proc/", init, "/ns/pid");
  if (::stat(link.c_str(), &theirs) != 0) return ErrnoStatus(errno, "look at", link);
  if (::stat("/proc/self/ns/pid", &ours) == 0 && ours.st_ino == theirs.st_ino) {
    return std::vector<pid_t>{init};
  }
  BERTH_ASSIGN_OR_RETURN(const UniqueFd proc, OpenFile("/proc", O_RDONLY | O_DIRECTORY));
  BERTH_ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDirectory(proc));
  std::vector<pid_t> pids;
  for (const std::string& name : names) {
    pid_t pid = 0;
    struct stat info;
    if (absl::SimpleAtoi(name, &pid) &&
        ::fstatat(proc.get(), absl::StrCat(name, "/ns/pid").c_str(), &info, 0) == 0 &&
        info.st_ino == theirs.st_ino) {
      pids.push_back(pid);
    }
  }
  std::sort(pids.begin(), pids.end());
  return pids;
}

// Of a container without a cgroup, its pid namespace says who is in it.
absl::StatusOr<std::vector<pid_t>> ProcessesOf(const ContainerRecord& record) {
  if (!record.cgroup_paths.empty()) return cgroup::Cgroup::Open(record.cgroup_paths).Pids();
  return NamespaceMembers(record.init_pid);
}

// One number option into the object that ParseResources reads.
absl::Status AddNumber(const Options& options, absl::string_view option, absl::string_view member,
                       json::Writer& writer) {
  if (!options.Has(option)) return absl::OkStatus();
  int64_t value = 0;
  std::string text = options.Get(option);
  int64_t unit = 1;
  if (!text.empty()) {
    // As in "512m".
    const char last = absl::ascii_tolower(static_cast<unsigned char>(text.back()));
    unit = last == 'k' ? 1 << 10 : last == 'm' ? 1 << 20 : last == 'g' ? 1 << 30 : 1;
    if (unit != 1) text.pop_back();
  }
  if (!absl::SimpleAtoi(text, &value)) {
    return absl::InvalidArgumentError(
        absl::StrCat("invalid value for ", option, ": '", options.Get(option), "'"));
  }
  writer.Key(member).Int(value < 0 ? value : value * unit);
  return absl::OkStatus();
}

absl::StatusOr<std::string> ResourcesFromOptions(const Options& options) {
  json::Writer writer;
  writer.BeginObject().Key("memory").BeginObject();
  BERTH_RETURN_IF_ERROR(AddNumber(options, "memory", "limit", writer));
  BERTH_RETURN_IF_ERROR(AddNumber(options, "memory-swap", "swap", writer));
  BERTH_RETURN_IF_ERROR(AddNumber(options, "memory-reservation", "reservation", writer));
  writer.EndObject().Key("cpu").BeginObject();
  BERTH_RETURN_IF_ERROR(AddNumber(options, "cpu-share", "shares", writer));
  BERTH_RETURN_IF_ERROR(AddNumber(options, "cpu-quota", "quota", writer));
  BERTH_RETURN_IF_ERROR(AddNumber(options, "cpu-period", "period", writer));
  BERTH_RETURN_IF_ERROR(AddNumber(options, "cpu-burst", "burst", writer));
  BERTH_RETURN_IF_ERROR(AddNumber(options, "cpu-rt-period", "realtimePeriod", writer));
  BERTH_RETURN_IF_ERROR(AddNumber(options, "cpu-rt-runtime", "realtimeRuntime", writer));
  BERTH_RETURN_IF_ERROR(AddNumber(options, "cpu-idle", "idle", writer));
  if (options.Has("cpuset-cpus")) writer.Key("cpus").String(options.Get("cpuset-cpus"));
  if (options.Has("cpuset-mems")) writer.Key("mems").String(options.Get("cpuset-mems"));
  writer.EndObject().Key("pids").BeginObject();
  BERTH_RETURN_IF_ERROR(AddNumber(options, "pids-limit", "limit", writer));
  writer.EndObject().Key("blockIO").BeginObject();
  BERTH_RETURN_IF_ERROR(AddNumber(options, "blkio-weight", "weight", writer));
  writer.EndObject().EndObject();
  return writer.Take();
}

}  // namespace

absl::StatusOr<std::string> ContainerArgument(const CommandContext& context) {
  if (context.arguments.empty() || context.arguments[0].empty()) {
    return absl::InvalidArgumentError("container id cannot be empty");
  }
  return context.arguments[0];
}

launch::CleanupRecord ToCleanupRecord(const ContainerRecord& record) {
  launch::CleanupRecord out;
  out.bundle = record.bundle;
  out.id = record.id;
  out.init_pid = record.init_pid;
  out.init_start_time_ticks = record.init_start_time_ticks;
  out.cgroup_paths = record.cgroup_paths;
  out.has_no_cgroup = record.cgroup_paths.empty();
  return out;
}

absl::StatusOr<int> RunPs(CommandContext& context) {
  const std::string format = context.options.Get("format", "table");
  if (format != "table" && format != "json") {
    return absl::InvalidArgumentError("invalid format option");
  }
  BERTH_ASSIGN_OR_RETURN(const ContainerRecord record, LoadArgument(context));
  BERTH_ASSIGN_OR_RETURN(const std::vector<pid_t> pids, ProcessesOf(record));
  if (format == "json") {
    json::Writer writer;
    writer.BeginArray();
    for (pid_t pid : pids) writer.Int(pid);
    Print(writer.EndArray().Take() + "\n");
    return 0;
  }
  BERTH_RETURN_IF_ERROR(
      PrintPsTable(pids, {context.arguments.begin() + 1, context.arguments.end()}));
  return 0;
}

absl::StatusOr<int> RunKill(CommandContext& context) {
  BERTH_ASSIGN_OR_RETURN(const ContainerRecord record, LoadArgument(context));
  const std::string name = context.arguments.size() > 1 ? context.arguments[1] : "SIGTERM";
  // Signal 0 asks whether the process is there.
  const std::optional<int> signal = name == "0" ? 0 : spec::SignalNumber(name);
  if (!signal) return absl::InvalidArgumentError(absl::StrCat("unknown signal \"", name, "\""));
  const RuntimeState state = context.store.StateOf(record);
  // Without a cgroup, the end of init is the end of its pid namespace.
  if (context.options.Has("all") && !record.cgroup_paths.empty()) {
    cgroup::Cgroup group = cgroup::Cgroup::Open(record.cgroup_paths);
    BERTH_RETURN_IF_ERROR(group.SignalAll(*signal));
    return 0;
  }
  if (state == RuntimeState::kStopped)
    return absl::FailedPreconditionError("container not running");
  BERTH_ASSIGN_OR_RETURN(std::unique_ptr<Loop> loop, Loop::Create());
  BERTH_ASSIGN_OR_RETURN(
      std::unique_ptr<launch::Container> container,
      launch::Container::Attach(*loop, ToCleanupRecord(record), context.store.SeccompCache()));
  absl::Status status = container->Kill(*signal, launch::KillScope::kInit);
  if (absl::IsNotFound(status)) return absl::FailedPreconditionError("container not running");
  BERTH_RETURN_IF_ERROR(status);
  return 0;
}

absl::StatusOr<int> RunDelete(CommandContext& context) {
  BERTH_ASSIGN_OR_RETURN(const std::string id, ContainerArgument(context));
  const bool force = context.options.Has("force");
  absl::StatusOr<ContainerRecord> record = context.store.Load(id);
  if (!record.ok()) {
    // A forced delete of what never came to be is done already.
    if (!force || !absl::IsNotFound(record.status())) return record.status();
    // Its making was cut short: init went with its maker, the rest is where the bundle says.
    absl::StatusOr<std::string> bundle = context.store.ReservedBundle(id);
    if (bundle.ok()) {
      launch::CleanupRecord unfinished;
      unfinished.bundle = *std::move(bundle);
      unfinished.id = id;
      BERTH_RETURN_IF_ERROR(launch::Container::CleanupFromRecord(unfinished, kDeleteTimeout));
    }
    BERTH_RETURN_IF_ERROR(context.store.Remove(id));
    return 0;
  }
  const RuntimeState state = context.store.StateOf(*record);
  if (state != RuntimeState::kStopped && state != RuntimeState::kCreated && !force) {
    return absl::FailedPreconditionError(absl::StrCat(
        "cannot delete container ", id, " that is not stopped: ", RuntimeStateName(state)));
  }
  BERTH_RETURN_IF_ERROR(
      launch::Container::CleanupFromRecord(ToCleanupRecord(*record), kDeleteTimeout));
  BERTH_RETURN_IF_ERROR(context.store.Remove(id));
  return 0;
}

namespace {

absl::StatusOr<int> Freeze(CommandContext& context, RuntimeState from,
                           void (launch::Container::*change)(launch::Container::Done)) {
  BERTH_ASSIGN_OR_RETURN(const ContainerRecord record, LoadArgument(context));
  const RuntimeState state = context.store.StateOf(record);
  if (state != from && !(from == RuntimeState::kRunning && state == RuntimeState::kCreated)) {
    return absl::FailedPreconditionError(absl::StrCat("container not ", RuntimeStateName(from),
                                                      ": it is ", RuntimeStateName(state)));
  }
  BERTH_ASSIGN_OR_RETURN(std::unique_ptr<Loop> loop, Loop::Create());
  BERTH_ASSIGN_OR_RETURN(
      std::unique_ptr<launch::Container> container,
      launch::Container::Attach(*loop, ToCleanupRecord(record), context.store.SeccompCache()));
  BERTH_RETURN_IF_ERROR(AwaitStatus(
      *loop, [&](launch::Container::Done done) { ((*container).*change)(std::move(done)); }));
  return 0;
}

}  // namespace

absl::StatusOr<int> RunPause(CommandContext& context) {
  return Freeze(context, RuntimeState::kRunning, &launch::Container::Pause);
}

absl::StatusOr<int> RunResume(CommandContext& context) {
  return Freeze(context, RuntimeState::kPaused, &launch::Container::Resume);
}

// --l3-cache-schema and --mem-bw-schema: for the class of service that the container is in.
absl::Status UpdateIntelRdt(const CommandContext& context, const ContainerRecord& record) {
  const std::string cache = context.options.Get("l3-cache-schema");
  const std::string bandwidth = context.options.Get("mem-bw-schema");
  if (cache.empty() && bandwidth.empty()) return absl::OkStatus();
  BERTH_ASSIGN_OR_RETURN(const std::string mounts, ReadFile("/proc/self/mountinfo"));
  BERTH_ASSIGN_OR_RETURN(const std::string root, cgroup::FindResctrl(mounts));
  BERTH_ASSIGN_OR_RETURN(std::string json, ReadFile(record.bundle + "/config.json"));
  BERTH_ASSIGN_OR_RETURN(const spec::LaunchPlan plan, spec::ParseSpec(std::move(json)));
  if (!plan.intel_rdt) {
    return absl::FailedPreconditionError(
        "the container was made without $.linux.intelRdt, and has no class of service");
  }
  spec::IntelRdt wanted = *plan.intel_rdt;
  wanted.schemata.clear();
  if (!cache.empty()) wanted.l3_cache_schema = cache;
  if (!bandwidth.empty()) wanted.memory_bandwidth_schema = bandwidth;
  return cgroup::IntelRdtGroup::At(root, wanted, record.id).Configure(wanted);
}

absl::StatusOr<int> RunUpdate(CommandContext& context) {
  BERTH_ASSIGN_OR_RETURN(const ContainerRecord record, LoadArgument(context));
  if (context.store.StateOf(record) == RuntimeState::kStopped) {
    return absl::FailedPreconditionError("container not running");
  }
  std::string json;
  if (context.options.Has("resources")) {
    const std::string path = context.options.Get("resources");
    BERTH_ASSIGN_OR_RETURN(
        json, path == "-" ? ReadAll(BorrowedFd(STDIN_FILENO), 1u << 20) : ReadFile(path));
  } else {
    BERTH_ASSIGN_OR_RETURN(json, ResourcesFromOptions(context.options));
  }
  BERTH_ASSIGN_OR_RETURN(const spec::Resources resources, spec::ParseResources(std::move(json)));
  if (record.cgroup_paths.empty() && !cgroup::IsWithoutLimits(resources)) {
    return absl::FailedPreconditionError("the container has no cgroup that could be limited");
  }
  BERTH_RETURN_IF_ERROR(cgroup::Cgroup::Open(record.cgroup_paths).Apply(resources));
  BERTH_RETURN_IF_ERROR(UpdateIntelRdt(context, record));
  return 0;
}

}  // namespace berth::oci
