// A path as a container has it, looked up below the container's root: whatever links say, nothing
// of the host is reached.
//
// Thread-safe functions.
#ifndef BERTH_SERVER_ENGINE_CONTAINER_PATH_H_
#define BERTH_SERVER_ENGINE_CONTAINER_PATH_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/os/unique_fd.h"
#include "proto/berth/engine/v1/files.pb.h"

namespace berth::engine {

// The path without ".", ".." and empty parts, by its text alone: "/a/b", "/" for the root.
struct ContainerPath {
  std::string text;
  std::string name;              // last part; "/" for the root, "." when the contents are meant
  bool wants_directory = false;  // ended with "/" or "/."
};
ContainerPath ParseContainerPath(absl::string_view text);

// An O_PATH descriptor of what the path names; of the link itself where it is one, unless a
// directory is wanted. Errors: NOT_FOUND and INVALID_ARGUMENT, in the words of `container`. Blocks.
absl::StatusOr<UniqueFd> OpenContainerPath(BorrowedFd root, const ContainerPath& path,
                                           absl::string_view container);
// What an open path is. Blocks.
absl::StatusOr<v1::PathStat> StatContainerPath(BorrowedFd root, const ContainerPath& path,
                                               BorrowedFd found);

}  // namespace berth::engine

#endif  // BERTH_SERVER_ENGINE_CONTAINER_PATH_H_
