// Extended attributes of files, directories and, through /proc/self/fd, of anything else.
//
// Thread-safe functions.
#ifndef BERTH_SNAPSHOTTER_LAYER_XATTR_H_
#define BERTH_SNAPSHOTTER_LAYER_XATTR_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/os/unique_fd.h"

namespace berth::layer {

using Xattrs = std::vector<std::pair<std::string, std::string>>;

// Those that an image may carry (IsImageXattr), in order of name. `file` may be an O_PATH
// descriptor.
absl::StatusOr<Xattrs> ReadImageXattrs(BorrowedFd file);
// The value, or NOT_FOUND.
absl::StatusOr<std::string> ReadXattr(BorrowedFd file, absl::string_view name);
// Sets those that an image may carry and passes over the others. One that the filesystem does not
// support is dropped, as by every other unpacker, unless it is a file capability, without which the
// program in the image cannot work: that is an error.
absl::Status SetXattrs(BorrowedFd file, const Xattrs& xattrs);
absl::Status SetXattr(BorrowedFd file, absl::string_view name, absl::string_view value);

// "/proc/self/fd/N": a path that is exactly the open file, also for O_PATH descriptors.
std::string ProcPath(BorrowedFd file);

}  // namespace berth::layer

#endif  // BERTH_SNAPSHOTTER_LAYER_XATTR_H_
