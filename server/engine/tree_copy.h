// A directory tree copied with all that it is. Thread-safe function.
#ifndef BERTH_SERVER_ENGINE_TREE_COPY_H_
#define BERTH_SERVER_ENGINE_TREE_COPY_H_

#include <string>

#include "absl/status/status.h"
#include "base/os/unique_fd.h"

namespace berth::engine {

// Makes `name` in `parent` a copy of the directory `source`: files, links, devices, owners, modes,
// times, extended attributes; hard links within the tree stay hard links. Never follows a link and
// never crosses into another filesystem. Blocks.
absl::Status CopyTree(BorrowedFd source, BorrowedFd parent, const std::string& name);

}  // namespace berth::engine

#endif  // BERTH_SERVER_ENGINE_TREE_COPY_H_
