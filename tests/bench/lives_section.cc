// Lives, their steps and execs, beside containerd and beside what the kernel alone takes.
#include <stdio.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "tests/bench/running_container.h"
#include "tests/bench/sections.h"

namespace berth::bench {
namespace {

// What floor prints: microseconds, a line each. In milliseconds.
absl::StatusOr<std::vector<double>> RunFloor(const FloorProgram& floor, const char* mode,
                                             int lives) {
  const std::string command = absl::StrCat(floor.path, " --root ", floor.root, " --busybox ",
                                           floor.busybox, " --lives ", lives, mode);
  FILE* output = ::popen(command.c_str(), "re");
  if (output == nullptr) return absl::InternalError(absl::StrCat("cannot run ", command));
  std::vector<double> times;
  long long micros = 0;
  while (::fscanf(output, "%lld", &micros) == 1) {
    times.push_back(static_cast<double>(micros) / 1000);
  }
  if (::pclose(output) != 0) return absl::InternalError(absl::StrCat(command, " failed"));
  return times;
}

absl::StatusOr<Servers::Values> RunLife(Server& server, int turn, Network network) {
  ContainerOptions options{{"/bin/true"}};
  options.network = network;
  BERTH_ASSIGN_OR_RETURN(const LifeTimes times,
                         server.Run(absl::StrCat("bench-life-", turn), options));
  Servers::Values values;
  for (const absl::Duration step : times.steps) {
    values.push_back({absl::ToDoubleMilliseconds(step)});
  }
  values.push_back({absl::ToDoubleMilliseconds(times.total)});
  return values;
}

absl::StatusOr<Servers::Values> RunExecs(Server& server, const RunningContainer& container,
                                         int turn, int execs) {
  std::vector<double> times;
  for (int exec = 0; exec < execs; ++exec) {
    BERTH_ASSIGN_OR_RETURN(
        const absl::Duration time,
        server.Exec(container.id(), absl::StrCat("exec-", turn, "-", exec), {"/bin/true"}));
    times.push_back(absl::ToDoubleMilliseconds(time));
  }
  return Servers::Values{times};
}

Measure FloorMeasure(const char* name, double at_most) {
  Measure measure(name, "ms", Better::kLower);
  measure.peer = "floor";
  measure.target = {Target::Of::kRatioAtMost, at_most};
  return measure;
}

struct LifeMeasures {
  std::vector<Measure> steps;
  Measure whole{"whole life", "ms", Better::kLower};
  Measure host{"life on the host's network", "ms", Better::kLower};
  Measure exec{"exec of true", "ms", Better::kLower};
  Measure over_floor = FloorMeasure("life over the floor", 2.5);
  Measure exec_over_floor = FloorMeasure("exec over the floor", 2);

  LifeMeasures() {
    for (size_t i = 0; i < kSteps; ++i) {
      const absl::string_view name = StepName(static_cast<Step>(i));
      steps.emplace_back(absl::StrCat("  ", name), "ms", Better::kLower);
    }
    whole.target = {Target::Of::kRatioAtLeast, 20};
    exec.target = {Target::Of::kRatioAtLeast, 20};
  }
};

// The last values that berthd had, beside the floor's.
absl::Status AddFloor(const FloorProgram& floor, const Plan& plan, LifeMeasures* measures) {
  if (floor.path.empty()) return absl::OkStatus();
  BERTH_ASSIGN_OR_RETURN(const std::vector<double> lives, RunFloor(floor, "", 1));
  measures->over_floor.AddTurn({measures->whole.ours.values().back()}, lives);
  BERTH_ASSIGN_OR_RETURN(const std::vector<double> execs, RunFloor(floor, " --exec", plan.execs));
  const std::vector<double>& ours = measures->exec.ours.values();
  measures->exec_over_floor.AddTurn({ours.end() - plan.execs, ours.end()}, execs);
  return absl::OkStatus();
}

}  // namespace

absl::Status MeasureLives(const Servers& servers, const Plan& plan, const FloorProgram& floor,
                          Report* report) {
  LifeMeasures measures;
  std::vector<Measure*> life;
  for (Measure& step : measures.steps) life.push_back(&step);
  life.push_back(&measures.whole);
  RunningContainer ours(servers.berthd());
  RunningContainer peers(servers.containerd());
  BERTH_RETURN_IF_ERROR(ours.Start());
  BERTH_RETURN_IF_ERROR(peers.Start());
  for (int turn = 0; turn < Servers::kWarmUpTurns + plan.turns; ++turn) {
    BERTH_RETURN_IF_ERROR(servers.Turn(
        turn, [&](Server& server) { return RunLife(server, turn, Network::kOwn); }, life));
    BERTH_RETURN_IF_ERROR(servers.Turn(
        turn,
        [&](Server& server) -> absl::StatusOr<Servers::Values> {
          BERTH_ASSIGN_OR_RETURN(Servers::Values values, RunLife(server, turn, Network::kHost));
          return Servers::Values{values.back()};
        },
        {&measures.host}));
    BERTH_RETURN_IF_ERROR(servers.Turn(
        turn,
        [&](Server& server) {
          return RunExecs(server, &server == &servers.berthd() ? ours : peers, turn, plan.execs);
        },
        {&measures.exec}));
    if (turn >= Servers::kWarmUpTurns) {
      BERTH_RETURN_IF_ERROR(AddFloor(floor, plan, &measures));
    }
  }
  BERTH_RETURN_IF_ERROR(ours.Stop());
  BERTH_RETURN_IF_ERROR(peers.Stop());
  report->Add(std::move(measures.whole));
  for (Measure& step : measures.steps) report->Add(std::move(step));
  report->Add(std::move(measures.host));
  report->Add(std::move(measures.exec));
  if (!floor.path.empty()) {
    report->Add(std::move(measures.over_floor));
    report->Add(std::move(measures.exec_over_floor));
  }
  return absl::OkStatus();
}

}  // namespace berth::bench
