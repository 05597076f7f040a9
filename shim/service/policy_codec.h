// A task's policy in the words of berth.shim.v1, and back.
//
// Pure functions, thread-safe.
#ifndef BERTH_SHIM_SERVICE_POLICY_CODEC_H_
#define BERTH_SHIM_SERVICE_POLICY_CODEC_H_

#include "absl/status/statusor.h"
#include "proto/berth/shim/v1/supervisor.pb.h"
#include "shim/service/live_task.h"

namespace berth::service {

// Errors: INVALID_ARGUMENT, naming the field.
absl::StatusOr<LiveTask::Policy> DecodePolicy(const berth::shim::v1::SetPolicyRequest& request);
void EncodePolicy(const LiveTask::Policy& policy, berth::shim::v1::RestartPolicy& restart);
absl::StatusOr<HealthCheck> DecodeHealth(const berth::shim::v1::HealthCheck& health);
void EncodeHealth(const HealthCheck& check, berth::shim::v1::HealthCheck& health);

}  // namespace berth::service

#endif  // BERTH_SHIM_SERVICE_POLICY_CODEC_H_
