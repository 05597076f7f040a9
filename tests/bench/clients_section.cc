// How many lives several clients get through together, and what processor time one costs.
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/os/file_io.h"
#include "tests/bench/sections.h"

namespace berth::bench {
namespace {

constexpr int kLivesPerTurn = 32;

// Nanoseconds that the processes of `group` and of all groups below it, also of removed ones, had.
absl::StatusOr<double> CpuSeconds(const std::string& group) {
  BERTH_ASSIGN_OR_RETURN(const std::string text, ReadFile(absl::StrCat("/sys/fs/cgroup/cpuacct/",
                                                                       group, "/cpuacct.usage")));
  double nanos = 0;
  if (!absl::SimpleAtod(text, &nanos)) return absl::InternalError("cpuacct.usage: no number");
  return nanos / 1e9;
}

absl::Status RunLives(Server& server, int turn, int clients) {
  std::vector<absl::Status> statuses(clients);
  std::vector<std::thread> threads;
  for (int client = 0; client < clients; ++client) {
    threads.emplace_back([&, client] {
      for (int life = 0; life < kLivesPerTurn / clients && statuses[client].ok(); ++life) {
        const std::string id = absl::StrCat("bench-", turn, "-", client, "-", life);
        statuses[client] = server.Run(id, {{"/bin/true"}}).status();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const absl::Status& status : statuses) BERTH_RETURN_IF_ERROR(status);
  return absl::OkStatus();
}

// Lives per second, and processor milliseconds per life (none where the groups do not count them).
absl::StatusOr<Servers::Values> RunTurn(Server& server, int turn, int clients) {
  const auto cpu_before = CpuSeconds(server.group());
  const absl::Time begin = absl::Now();
  BERTH_RETURN_IF_ERROR(RunLives(server, turn, clients));
  const absl::Duration wall = absl::Now() - begin;
  const auto cpu_after = CpuSeconds(server.group());
  std::vector<double> cpu;
  if (cpu_before.ok() && cpu_after.ok()) {
    cpu.push_back((*cpu_after - *cpu_before) * 1000 / kLivesPerTurn);
  }
  return Servers::Values{{kLivesPerTurn / absl::ToDoubleSeconds(wall)}, cpu};
}

}  // namespace

absl::Status MeasureClients(const Servers& servers, const Plan& plan, Report* report) {
  Measure cpu("processor time of a life", "ms", Better::kLower);
  for (const int clients : {1, 2, 8, 32}) {
    Measure rate(absl::StrCat("lives with ", clients, clients == 1 ? " client" : " clients"), "1/s",
                 Better::kHigher);
    if (clients == 8) rate.target = {Target::Of::kRatioAtLeast, 15};
    std::vector<Measure*> measures = {&rate};
    if (clients == 1) measures.push_back(&cpu);
    for (int turn = 0; turn < Servers::kWarmUpTurns + plan.few_turns; ++turn) {
      BERTH_RETURN_IF_ERROR(servers.Turn(
          turn, [&](Server& server) { return RunTurn(server, turn, clients); }, measures));
    }
    report->Add(std::move(rate));
  }
  if (cpu.ours.count() > 0) report->Add(std::move(cpu));
  return absl::OkStatus();
}

}  // namespace berth::bench
