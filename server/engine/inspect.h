// Gathers what is shown of one container. Thread-safe functions.
#ifndef BERTH_SERVER_ENGINE_INSPECT_H_
#define BERTH_SERVER_ENGINE_INSPECT_H_

#include <string>

#include "absl/status/statusor.h"
#include "proto/berth/engine/v1/view.pb.h"
#include "server/engine/async.h"
#include "server/engine/container_table.h"

namespace berth::engine {

class Engine;

Async<absl::StatusOr<v1::InspectContainerResponse>> InspectContainer(
    Engine& engine, ContainerKey key, v1::InspectContainerRequest request);
// Measures the container's root. Blocks.
void AddSizes(Engine& engine, const std::string& ns, v1::ContainerSummary& container);

}  // namespace berth::engine

#endif  // BERTH_SERVER_ENGINE_INSPECT_H_
