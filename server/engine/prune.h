// Removes what is not in use. Thread-safe functions.
#ifndef BERTH_SERVER_ENGINE_PRUNE_H_
#define BERTH_SERVER_ENGINE_PRUNE_H_

#include <string>

#include "absl/status/statusor.h"
#include "proto/berth/engine/v1/life.pb.h"
#include "proto/berth/engine/v1/system.pb.h"
#include "server/engine/async.h"

namespace berth::engine {

class Engine;

// All containers that do not run and match the filters: until, label, label!.
Async<absl::StatusOr<v1::PruneContainersResponse>> PruneContainers(
    Engine& engine, std::string ns, v1::PruneContainersRequest request);

}  // namespace berth::engine

#endif  // BERTH_SERVER_ENGINE_PRUNE_H_
