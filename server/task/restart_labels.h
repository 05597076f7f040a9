// The labels by which containerd's restart monitor knows what is to run, as a policy for the shim:
//
//   containerd.io/restart.status              running: there is a policy
//   containerd.io/restart.policy              always (also when absent), on-failure[:n],
//                                             unless-stopped, no
//   containerd.io/restart.count               restarts so far
//   containerd.io/restart.explicitly-stopped  true: a user stopped it (unless-stopped heeds it)
//   containerd.io/restart.loguri              stdout and stderr of later generations
//
// Pure functions, thread-safe.
#ifndef BERTH_SERVER_TASK_RESTART_LABELS_H_
#define BERTH_SERVER_TASK_RESTART_LABELS_H_

#include <optional>
#include <string>

#include "google/protobuf/map.h"
#include "proto/berth/shim/v1/supervisor.pb.h"

namespace berth {

using Labels = google::protobuf::Map<std::string, std::string>;

// Whether any of the labels is the monitor's.
bool HasRestartLabels(const Labels& labels);
// nullopt: nothing is to be restarted, also where a label makes no sense (the monitor's rule).
std::optional<shim::v1::SetPolicyRequest> PolicyOfLabels(const Labels& labels);

}  // namespace berth

#endif  // BERTH_SERVER_TASK_RESTART_LABELS_H_
