// Where the time of a life goes: the steps that the daemon and the shim note, over many lives.
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status/status_macros.h"
#include "proto/berth/care/v1/care.grpc.pb.h"
#include "tests/bench/running_container.h"
#include "tests/bench/sections.h"
#include "tests/bench/stubs.h"

namespace berth::bench {
namespace {

using care::v1::Span;

// The measures of all steps, in the order in which they were first seen.
class Steps {
 public:
  void Add(const Span& span) {
    const std::string call =
        span.source() == Span::SOURCE_SHIM ? absl::StrCat("  shim ", span.call()) : span.call();
    const double took = static_cast<double>(span.took().seconds()) * 1e3 +
                        static_cast<double>(span.took().nanos()) / 1e6;
    MeasureOf(absl::StrCat(call, ": ", span.step())).AddTurn({took}, {});
  }
  void MoveTo(Report* report) {
    for (Measure& measure : measures_) report->Add(std::move(measure));
  }

 private:
  Measure& MeasureOf(const std::string& name) {
    for (Measure& measure : measures_) {
      if (measure.name == name) return measure;
    }
    Measure& added = measures_.emplace_back(name, "ms", Better::kLower);
    added.peer = "";
    return added;
  }

  std::vector<Measure> measures_;
};

enum class Of { kTheLiving, kTheGone };

absl::Status Explain(care::v1::Care::Stub& stub, const std::string& id, Of of, Steps& steps) {
  care::v1::ExplainRequest request;
  request.set_container(id);
  care::v1::ExplainResponse response;
  BERTH_RETURN_IF_ERROR(Call(stub, &care::v1::Care::Stub::Explain, request, &response));
  for (const Span& span : response.spans()) {
    if ((span.call() == "Tasks.Delete") == (of == Of::kTheGone)) steps.Add(span);
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status MeasureTrace(const Servers& servers, const Plan& plan, Report* report) {
  const auto stub = care::v1::Care::NewStub(grpc::CreateChannel(
      absl::StrCat("unix://", servers.berthd().address()), grpc::InsecureChannelCredentials()));
  Steps steps;
  for (int turn = 0; turn < Servers::kWarmUpTurns + plan.turns; ++turn) {
    RunningContainer container(servers.berthd(), turn);
    Steps unused;
    Steps& taken = turn < Servers::kWarmUpTurns ? unused : steps;
    BERTH_RETURN_IF_ERROR(container.Start());
    BERTH_RETURN_IF_ERROR(Explain(*stub, container.id(), Of::kTheLiving, taken));
    BERTH_RETURN_IF_ERROR(container.Stop());
    BERTH_RETURN_IF_ERROR(Explain(*stub, container.id(), Of::kTheGone, taken));
  }
  steps.MoveTo(report);
  return absl::OkStatus();
}

}  // namespace berth::bench
