#include "tests/fault/scenario.h"

#include <algorithm>

namespace berth::fault {

absl::Status Scenario::Run(FaultClient& client) {
  for (Step& step : steps_) {
    under_way_ = &step;
    step.attempted = true;
    const absl::Status status = step.action(client);
    if (!status.ok()) return status;
    step.acknowledged = true;
  }
  under_way_ = nullptr;
  return absl::OkStatus();
}

std::string Scenario::under_way() const { return under_way_ != nullptr ? under_way_->name : "end"; }

const Scenario::Step* Scenario::Find(absl::string_view name) const {
  const auto found = std::find_if(steps_.begin(), steps_.end(),
                                  [&](const Step& step) { return step.name == name; });
  return found == steps_.end() ? nullptr : &*found;
}

bool Scenario::Attempted(absl::string_view name) const {
  const Step* step = Find(name);
  return step != nullptr && step->attempted;
}

bool Scenario::Acknowledged(absl::string_view name) const {
  const Step* step = Find(name);
  return step != nullptr && step->acknowledged;
}

}  // namespace berth::fault
