// Turns files of a tree into members of a layer archive.
//
// Invariant: what it writes depends only on the tree: owner names are left out, whiteouts carry the
// time zero, and a second name of a file becomes a hard link to the first. Thread-compatible. Owned
// by one diff job; memory grows with the number of files that have several names.
#ifndef BERTH_SNAPSHOTTER_LAYER_LAYER_STREAM_H_
#define BERTH_SNAPSHOTTER_LAYER_LAYER_STREAM_H_

#include <sys/stat.h>

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/os/unique_fd.h"
#include "snapshotter/layer/entry.h"
#include "snapshotter/layer/tar_writer.h"

namespace berth::layer {

struct DiffOptions {
  // SOURCE_DATE_EPOCH: later times become this one, and whiteouts get it.
  std::optional<absl::Time> latest_time;
  // Set from another thread to stop early, with CANCELLED. May be nullptr.
  const std::atomic<bool>* cancelled = nullptr;
};

class LayerStream {
 public:
  // `tar` is borrowed.
  LayerStream(TarWriter& tar, const DiffOptions& options) : tar_(tar), options_(options) {}

  // Adds `name` of `directory` as `path`. Sockets are passed over: an archive cannot hold them.
  // Errors: FAILED_PRECONDITION for a name that would read as a whiteout; CANCELLED. Blocks.
  absl::Status AddFile(const std::string& path, BorrowedFd directory, const std::string& name,
                       const struct stat& info);
  // Says that `name` of the layers below is gone.
  absl::Status AddWhiteout(absl::string_view directory_path, absl::string_view name);
  // Says that the whole directory of the layers below is.
  absl::Status AddOpaque(absl::string_view directory_path);

 private:
  absl::Status AddMarker(absl::string_view directory_path, absl::string_view marker);
  struct timespec Limit(struct timespec time) const;

  TarWriter& tar_;
  const DiffOptions options_;
  absl::flat_hash_map<std::pair<dev_t, ino_t>, std::string> first_names_;
};

// "directory/name", or "name" where the directory is the root.
std::string JoinPath(absl::string_view directory, absl::string_view name);

}  // namespace berth::layer

#endif  // BERTH_SNAPSHOTTER_LAYER_LAYER_STREAM_H_
