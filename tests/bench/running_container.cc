#include "tests/bench/running_container.h"

#include <iostream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status/status_macros.h"

namespace berth::bench {

RunningContainer::RunningContainer(Server& server, int number)
    : server_(server), id_(absl::StrCat("bench-sleeper-", server.label(), "-", number)) {}

RunningContainer::~RunningContainer() {
  const absl::Status status = Stop();
  if (!status.ok()) std::cerr << "compare: stopping " << id_ << ": " << status << "\n";
}

absl::Status RunningContainer::Start() {
  running_ = true;
  BERTH_ASSIGN_OR_RETURN(pid_, server_.StartContainer(id_, {{"/bin/sleep", "1000000"}}));
  return absl::OkStatus();
}

absl::Status RunningContainer::Stop() {
  if (!std::exchange(running_, false)) return absl::OkStatus();
  return server_.StopContainer(id_);
}

}  // namespace berth::bench
