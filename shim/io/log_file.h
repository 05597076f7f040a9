// A log's file on disk, and the older ones that rotation has put aside: PATH, PATH.1, PATH.2, ...
//
// Invariant: records are whole: one that could not be written whole is taken back, and one that a
// killed writer left unfinished is cut off when the file is opened again. A rotation is a chain of
// renames from the oldest on, so that a kill in the middle leaves a gap in the numbers and no loss.
// Blocks on the filesystem: used by the writing process only. Thread-compatible.
#ifndef BERTH_SHIM_IO_LOG_FILE_H_
#define BERTH_SHIM_IO_LOG_FILE_H_

#include <cstdint>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/os/unique_fd.h"

namespace berth::io {

class LogFile {
 public:
  struct Options {
    std::string path;
    uint64_t max_size_bytes = 0;  // 0: never rotated
    uint32_t max_files = 1;
    enum class Records { kLines, kRaw } records = Records::kLines;
  };
  // Makes the file and its directories where they are missing; goes on behind what is there.
  static absl::StatusOr<LogFile> Open(Options options);

  // Appends whole records, `bytes` being one or several. Rotates first when they do not fit.
  // Errors: as write(2); nothing was written then. RESOURCE_EXHAUSTED: the disk is full.
  absl::Status Append(absl::string_view bytes);
  uint64_t rotations() const { return rotations_; }
  // Room for records before the next rotation.
  uint64_t RoomBytes() const;

 private:
  explicit LogFile(Options options) : options_(std::move(options)) {}
  absl::Status OpenCurrent();
  absl::Status CutUnfinished();
  absl::Status Rotate();

  Options options_;
  UniqueFd file_;
  uint64_t size_ = 0;
  uint64_t rotations_ = 0;
};

}  // namespace berth::io

#endif  // BERTH_SHIM_IO_LOG_FILE_H_
