// Where the members of a tar archive lie in its file, so that they can be copied out without being
// read through a tar reader again.
//
// Invariant: offset and size of every member lie inside the file. Foreign names come out as they
// are. Thread-safe functions. Descriptors are borrowed.
#ifndef BERTH_SNAPSHOTTER_LAYER_ARCHIVE_MEMBERS_H_
#define BERTH_SNAPSHOTTER_LAYER_ARCHIVE_MEMBERS_H_

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/os/unique_fd.h"

namespace berth::layer {

// An archive of images with more is refused: its table would not fit a message.
inline constexpr size_t kMaxMembers = 20000;

struct Member {
  std::string path;  // without "./" in front
  int64_t offset = 0;
  int64_t size_bytes = 0;
  std::string link_target;  // empty for a file
};

enum class Packing { kPlain, kCompressed };
// From the first bytes. Errors: INVALID_ARGUMENT for an empty file.
absl::StatusOr<Packing> FindPacking(BorrowedFd archive);

// gzip, zstd, and whatever else libarchive can. Errors: DATA_LOSS for a damaged stream, those of
// writing, CANCELLED. Blocks.
absl::Status DecompressArchive(BorrowedFd archive, BorrowedFd plain,
                               const std::atomic<bool>& cancelled);

// Files and links of a plain archive, in their order. Errors: INVALID_ARGUMENT for what is no tar
// archive; DATA_LOSS for one that is cut off or damaged; RESOURCE_EXHAUSTED for too many members;
// CANCELLED. Blocks.
absl::StatusOr<std::vector<Member>> ListMembers(BorrowedFd archive,
                                                const std::atomic<bool>& cancelled);

}  // namespace berth::layer

#endif  // BERTH_SNAPSHOTTER_LAYER_ARCHIVE_MEMBERS_H_
