// The filters of `ps`, but for "before" and "since", which say something of a container's place in
// the list.
//
// Immutable, thread-safe. The request must outlive it.
#ifndef BERTH_SERVER_ENGINE_CONTAINER_FILTER_H_
#define BERTH_SERVER_ENGINE_CONTAINER_FILTER_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "proto/berth/engine/v1/view.pb.h"

namespace berth::engine {

class ContainerFilter {
 public:
  // Errors: INVALID_ARGUMENT for an unknown filter or value.
  static absl::StatusOr<ContainerFilter> Of(const v1::ListContainersRequest& request);

  // What the state alone decides: thousands of summaries need not be read for it.
  bool MatchesState(const v1::State& state) const;
  // Whether Matches asks for more than that.
  bool needs_summary() const { return !on_summary_.empty(); }
  // The rest. The container has its names and its state.
  bool Matches(const v1::ContainerSummary& container) const;

 private:
  using Condition = std::pair<std::string, const v1::Filter*>;

  bool all_ = false;  // also those that do not run
  std::vector<Condition> on_state_;
  std::vector<Condition> on_summary_;
};

}  // namespace berth::engine

#endif  // BERTH_SERVER_ENGINE_CONTAINER_FILTER_H_
