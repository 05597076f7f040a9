// Removes what is not in use. Thread-safe functions.
#ifndef BERTH_SERVER_ENGINE_PRUNE_H_
#define BERTH_SERVER_ENGINE_PRUNE_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "proto/berth/engine/v1/life.pb.h"
#include "proto/berth/engine/v1/system.pb.h"
#include "server/engine/async.h"

namespace berth::engine {

class Engine;

// All containers that do not run and match the filters: until, label, label!.
Async<absl::StatusOr<v1::PruneContainersResponse>> PruneContainers(
    Engine& engine, std::string ns, v1::PruneContainersRequest request);

// "10m", "24h", a time as RFC 3339 or in Unix seconds: things made before it. Errors:
// INVALID_ARGUMENT.
absl::StatusOr<absl::Time> ParseUntil(absl::string_view text, absl::Time now);

}  // namespace berth::engine

#endif  // BERTH_SERVER_ENGINE_PRUNE_H_
