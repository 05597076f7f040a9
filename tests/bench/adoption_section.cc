// Adoption: daemons that are killed while their containers run on, and started again.
//
// Each has a daemon of its own here, which may be killed. Both hold their containers at the same
// time and are restarted in turn. A containerd with runc needs some 3 MB for a container, and on
// two cores a quarter of a second to make it, with others at work a whole one: a thousand would
// take most of the half hour that all sections have. So the ratio is that of --adopted-by-peer
// containers, and larger numbers are Berth's alone.
#include <algorithm>
#include <iostream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/status/status_macros.h"
#include "tests/bench/adopting_daemon.h"
#include "tests/bench/sections.h"

namespace berth::bench {
namespace {

constexpr double kMaxMillis = 150;
constexpr double kMinRatio = 4;

AdoptingProgram ProgramOf(const Adoption& adoption, const char* name, const std::string& bin,
                          std::vector<std::string> arguments) {
  AdoptingProgram program;
  program.label = name;
  program.bin = bin;
  program.name = name;
  program.arguments = std::move(arguments);
  program.directory = absl::StrCat(adoption.directory, "/adoption/", name);
  program.snapshotter = adoption.snapshotter;
  program.group = absl::StrCat(adoption.group, "/", name);
  program.busybox = adoption.busybox;
  return program;
}

absl::StatusOr<Servers::Values> RestartOnce(AdoptingDaemon& daemon) {
  BERTH_ASSIGN_OR_RETURN(const absl::Duration time, daemon.Restart());
  return Servers::Values{{absl::ToDoubleMilliseconds(time)}};
}

class Section {
 public:
  Section(const Adoption& adoption, const Plan& plan, Report* report)
      : plan_(plan),
        ours_(ProgramOf(adoption, "berthd", adoption.bin, {"--log-level", "warn"})),
        peer_(ProgramOf(adoption, "containerd", adoption.containerd_bin,
                        {"--config", adoption.containerd_config, "--log-level", "error"})),
        servers_(ours_.server(), peer_.server()),
        report_(report) {}

  absl::Status Run() {
    BERTH_RETURN_IF_ERROR(ours_.Start());
    BERTH_RETURN_IF_ERROR(peer_.Start());
    for (const int count : plan_.adopted) {
      BERTH_RETURN_IF_ERROR(count <= plan_.adopted_by_peer ? MeasureBoth(count)
                                                           : MeasureOurs(count));
    }
    BERTH_RETURN_IF_ERROR(ours_.Stop());
    return peer_.Stop();
  }

 private:
  absl::Status MeasureBoth(int count) {
    std::cerr << "measuring: adoption of " << count << "\n";
    BERTH_RETURN_IF_ERROR(ours_.GrowTo(count));
    BERTH_RETURN_IF_ERROR(peer_.GrowTo(count));
    Measure measure(absl::StrCat("adoption, containers: ", count), "ms", Better::kLower);
    measure.target = {Target::Of::kRatioAtLeast, kMinRatio};
    for (int turn = 0; turn < plan_.few_turns + Servers::kWarmUpTurns; ++turn) {
      BERTH_RETURN_IF_ERROR(servers_.Turn(turn,
                                          [this](Server& server) {
                                            return RestartOnce(&server == &ours_.server() ? ours_
                                                                                          : peer_);
                                          },
                                          {&measure}));
    }
    AddOurs(count, measure.ours);
    report_->Add(std::move(measure));
    return absl::OkStatus();
  }

  absl::Status MeasureOurs(int count) {
    std::cerr << "measuring: adoption of " << count << ", berthd alone\n";
    BERTH_RETURN_IF_ERROR(ours_.GrowTo(count));
    Samples times;
    for (int turn = 0; turn < plan_.few_turns + Servers::kWarmUpTurns; ++turn) {
      BERTH_ASSIGN_OR_RETURN(const Servers::Values values, RestartOnce(ours_));
      if (turn >= Servers::kWarmUpTurns) times.Add(values[0][0]);
    }
    AddOurs(count, times);
    return absl::OkStatus();
  }

  // A row has one target: that of the time is a row of its own.
  void AddOurs(int count, const Samples& times) {
    Measure measure(absl::StrCat("adoption, time for ", count), "ms", Better::kLower);
    measure.peer = "";
    measure.target = {Target::Of::kMedianAtMost, kMaxMillis};
    measure.ours = times;
    report_->Add(std::move(measure));
  }

  const Plan& plan_;
  AdoptingDaemon ours_;
  AdoptingDaemon peer_;
  Servers servers_;
  Report* const report_;
};

}  // namespace

absl::Status MeasureAdoption(const Adoption& adoption, const Plan& plan, Report* report) {
  if (adoption.bin.empty()) return absl::OkStatus();
  if (const int most = *std::max_element(plan.adopted.begin(), plan.adopted.end());
      plan.adopted_by_peer < most) {
    report->AddHeader("adoption", absl::StrCat("beside the peer up to ", plan.adopted_by_peer,
                                               " containers, berthd alone up to ", most));
  }
  return Section(adoption, plan, report).Run();
}

}  // namespace berth::bench
