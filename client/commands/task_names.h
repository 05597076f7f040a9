// Words for the states of tasks. Pure function.
#ifndef BERTH_CLIENT_COMMANDS_TASK_NAMES_H_
#define BERTH_CLIENT_COMMANDS_TASK_NAMES_H_

#include "absl/strings/string_view.h"
#include "proto/containerd/types/task.pb.h"

namespace berth::client {

inline absl::string_view TaskStateName(containerd::v1::types::Status status) {
  switch (status) {
    case containerd::v1::types::CREATED:
      return "created";
    case containerd::v1::types::RUNNING:
      return "running";
    case containerd::v1::types::STOPPED:
      return "stopped";
    case containerd::v1::types::PAUSED:
      return "paused";
    case containerd::v1::types::PAUSING:
      return "pausing";
    default:
      return "unknown";
  }
}

}  // namespace berth::client

#endif  // BERTH_CLIENT_COMMANDS_TASK_NAMES_H_
