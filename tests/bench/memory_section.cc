// Memory: of the daemons, and of the shims with one container, with many and after many execs.
#include <sys/socket.h>

#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/os/fd_factories.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"
#include "tests/bench/process_numbers.h"
#include "tests/bench/running_container.h"
#include "tests/bench/sections.h"

namespace berth::bench {
namespace {

// Who listens at the socket.
absl::StatusOr<pid_t> DaemonPid(const Server& server) {
  BERTH_ASSIGN_OR_RETURN(const UniqueFd connection, ConnectUnix(server.address()));
  ucred peer = {};
  socklen_t size = sizeof(peer);
  if (::getsockopt(connection.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) {
    return ErrnoStatus(errno, "SO_PEERCRED of ", server.address());
  }
  return peer.pid;
}

// Resident megabytes.
absl::StatusOr<double> DaemonMegabytes(const Server& server) {
  BERTH_ASSIGN_OR_RETURN(const pid_t pid, DaemonPid(server));
  BERTH_ASSIGN_OR_RETURN(const int64_t kib, ProcessNumber(pid, "status", "VmRSS:"));
  return static_cast<double>(kib) / 1024;
}

struct ShimMemory {
  double pss_kb = 0;
  double private_kb = 0;
};

// A container's first process is its shim's child.
absl::StatusOr<ShimMemory> MemoryOfShim(const RunningContainer& container) {
  BERTH_ASSIGN_OR_RETURN(const int64_t parent, ProcessNumber(container.pid(), "status", "PPid:"));
  const auto shim = static_cast<pid_t>(parent);
  ShimMemory memory;
  BERTH_ASSIGN_OR_RETURN(memory.pss_kb, ProcessNumber(shim, "smaps_rollup", "Pss:"));
  for (const char* label : {"Private_Clean:", "Private_Dirty:"}) {
    BERTH_ASSIGN_OR_RETURN(const int64_t kib, ProcessNumber(shim, "smaps_rollup", label));
    memory.private_kb += static_cast<double>(kib);
  }
  return memory;
}

using Containers = std::vector<std::unique_ptr<RunningContainer>>;

// Starts containers until there are `count`.
absl::Status GrowTo(size_t count, Server& server, Containers* containers) {
  while (containers->size() < count) {
    const int number = static_cast<int>(containers->size()) + 1;
    containers->push_back(std::make_unique<RunningContainer>(server, number));
    BERTH_RETURN_IF_ERROR(containers->back()->Start());
  }
  return absl::OkStatus();
}

struct Weights {
  std::vector<double> pss_kb;
  std::vector<double> private_kb;
};

absl::StatusOr<Weights> Weigh(const Containers& containers) {
  Weights weights;
  for (const auto& container : containers) {
    BERTH_ASSIGN_OR_RETURN(const ShimMemory memory, MemoryOfShim(*container));
    weights.pss_kb.push_back(memory.pss_kb);
    weights.private_kb.push_back(memory.private_kb);
  }
  return weights;
}

// One server's figures, in the order in which they are taken.
struct Figures {
  double idle_mb = 0;
  Weights one;
  Weights many;
  double many_mb = 0;
};

absl::StatusOr<Figures> Take(Server& server, const Plan& plan, Containers* containers) {
  Figures figures;
  BERTH_ASSIGN_OR_RETURN(figures.idle_mb, DaemonMegabytes(server));
  BERTH_RETURN_IF_ERROR(GrowTo(1, server, containers));
  BERTH_ASSIGN_OR_RETURN(figures.one, Weigh(*containers));
  BERTH_RETURN_IF_ERROR(GrowTo(plan.containers, server, containers));
  BERTH_ASSIGN_OR_RETURN(figures.many, Weigh(*containers));
  BERTH_ASSIGN_OR_RETURN(figures.many_mb, DaemonMegabytes(server));
  return figures;
}

// The first container's shim, after one exec and after many. Berth's alone: the peer's many would
// take minutes.
absl::Status AddExecs(Server& server, const Plan& plan, const Containers& containers,
                      Report* report) {
  int exec = 0;
  for (const int count : {1, plan.many_execs}) {
    for (; exec < count; ++exec) {
      BERTH_RETURN_IF_ERROR(
          server.Exec(containers[0]->id(), absl::StrCat("exec-", exec), {"/bin/true"}).status());
    }
    BERTH_ASSIGN_OR_RETURN(const ShimMemory memory, MemoryOfShim(*containers[0]));
    Measure measure(absl::StrCat("shim private, after execs: ", count), "KB", Better::kLower);
    measure.peer = "";
    measure.target = {Target::Of::kMedianAtMost, 250};
    measure.AddTurn({memory.private_kb}, {});
    report->Add(std::move(measure));
  }
  return absl::OkStatus();
}

void AddPair(const char* name, const char* unit, Target target, const std::vector<double>& ours,
             const std::vector<double>& peers, Report* report) {
  Measure measure(name, unit, Better::kLower);
  measure.target = target;
  measure.AddTurn(ours, peers);
  report->Add(std::move(measure));
}

}  // namespace

absl::Status MeasureMemory(const Servers& servers, const Plan& plan, Report* report) {
  Containers our_containers;
  Containers peer_containers;
  BERTH_ASSIGN_OR_RETURN(const Figures ours, Take(servers.berthd(), plan, &our_containers));
  BERTH_ASSIGN_OR_RETURN(const Figures peers, Take(servers.containerd(), plan, &peer_containers));
  constexpr auto kAtMost = Target::Of::kMedianAtMost;
  AddPair("daemon resident, idle", "MB", {kAtMost, 20}, {ours.idle_mb}, {peers.idle_mb}, report);
  AddPair("daemon resident, many containers", "MB", {}, {ours.many_mb}, {peers.many_mb}, report);
  AddPair("shim PSS, the only one", "KB", {}, ours.one.pss_kb, peers.one.pss_kb, report);
  AddPair("shim private, the only one", "KB", {}, ours.one.private_kb, peers.one.private_kb,
          report);
  AddPair("shim PSS, one of many", "KB", {kAtMost, 350}, ours.many.pss_kb, peers.many.pss_kb,
          report);
  AddPair("shim private, one of many", "KB", {kAtMost, 250}, ours.many.private_kb,
          peers.many.private_kb, report);
  BERTH_RETURN_IF_ERROR(AddExecs(servers.berthd(), plan, our_containers, report));
  for (const Containers* containers : {&our_containers, &peer_containers}) {
    for (const auto& container : *containers) BERTH_RETURN_IF_ERROR(container->Stop());
  }
  return absl::OkStatus();
}

}  // namespace berth::bench
