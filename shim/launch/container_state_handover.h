// What is kept of a container, on its way to the program that takes over.
//
// Thread-compatible functions. Used by Container.
#ifndef BERTH_SHIM_LAUNCH_CONTAINER_STATE_HANDOVER_H_
#define BERTH_SHIM_LAUNCH_CONTAINER_STATE_HANDOVER_H_

#include "absl/status/status.h"
#include "proto/berth/shim/v1/handover.pb.h"
#include "shim/handover/packer.h"
#include "shim/handover/unpacker.h"
#include "shim/launch/container_state.h"

namespace berth::launch {

// All but the timings of the last verb.
void SaveState(const ContainerState& from, handover::Packer& packer,
               berth::shim::v1::NativeContainer& to);
// Errors: FAILED_PRECONDITION for descriptors that are not what they should be, and for what this
// program does not know.
absl::Status ResumeState(const berth::shim::v1::NativeContainer& from, handover::Unpacker& unpacker,
                         ContainerState& to);

}  // namespace berth::launch

#endif  // BERTH_SHIM_LAUNCH_CONTAINER_STATE_HANDOVER_H_
