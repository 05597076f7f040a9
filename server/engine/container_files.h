// Where a container's files are reached: as it sees them while it runs, else in its snapshot and in
// the volumes and host directories that it would have.
//
// Thread-safe functions; what they return is thread-compatible.
#ifndef BERTH_SERVER_ENGINE_CONTAINER_FILES_H_
#define BERTH_SERVER_ENGINE_CONTAINER_FILES_H_

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/os/unique_fd.h"
#include "server/engine/container_path.h"
#include "server/engine/engine.h"
#include "server/engine/keyed_locks.h"

namespace berth::engine {

// A path of a container with the root to look it up in.
struct ContainerFiles {
  // Keeps a stopped container from starting meanwhile; goes after the root.
  std::optional<KeyedLocks::Guard> lock;
  UniqueFd root;
  ContainerPath path;         // below `root`
  std::string mount;          // of a volume that stands for the root: where it is; else empty
  bool is_read_only = false;  // to the container
};

// To read. Errors: NOT_FOUND. Blocks.
absl::StatusOr<ContainerFiles> OpenToRead(Engine& engine, const ContainerKey& key,
                                          absl::string_view path);
// To write; holds the container's lock while it does not run. Errors: NOT_FOUND; UNAVAILABLE when
// the container is being started or removed for longer than a few seconds. Blocks.
absl::StatusOr<ContainerFiles> OpenToWrite(Engine& engine, const ContainerKey& key,
                                           absl::string_view path);

}  // namespace berth::engine

#endif  // BERTH_SERVER_ENGINE_CONTAINER_FILES_H_
