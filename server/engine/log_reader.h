// Reads a container's json-file log, with its rotated files, as docs/formats/logs.md says.
//
// Invariant: entries come in the order in which they were written, each once, also when the log is
// rotated while it is read, unless records were rotated away unread. Pieces of one long line stay
// pieces. Thread-compatible; blocks for the disk. Owned by whoever streams.
#ifndef BERTH_SERVER_ENGINE_LOG_READER_H_
#define BERTH_SERVER_ENGINE_LOG_READER_H_

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/os/unique_fd.h"
#include "proto/berth/engine/v1/view.pb.h"

namespace berth::engine {

class LogReader {
 public:
  // `path`: of the newest file.
  LogReader(std::string path, v1::LogsRequest request);

  // Adds entries, about kBatchBytes at most, and returns how many records it has passed over or
  // added: 0 at the present end of the log.
  static constexpr size_t kBatchBytes = 256 << 10;
  absl::StatusOr<size_t> Read(v1::LogsResponse& response);
  // An entry behind `until` was seen: nothing more will be of interest.
  bool is_past_end() const { return is_past_end_; }

 private:
  absl::Status Open();
  absl::Status OpenAt(int number);
  // True: another file is open now.
  absl::StatusOr<bool> Advance();
  void Take(absl::string_view line, v1::LogsResponse& response);
  std::string PathOf(int number) const;
  int Highest() const;
  // Finds the place of the last `lines` lines, over all files.
  absl::Status SkipToTail(int64_t lines);
  bool Wants(v1::Stream stream) const;

  const std::string path_;
  const v1::LogsRequest request_;
  const absl::Time since_;
  const absl::Time until_;
  UniqueFd file_;
  ino_t inode_ = 0;
  std::string rest_;  // read, and not yet a whole line
  int64_t to_skip_ = 0;
  bool is_past_end_ = false;
};

// One line of a json-file; nullopt for what is none.
std::optional<v1::LogEntry> ParseLogLine(absl::string_view line);

}  // namespace berth::engine

#endif  // BERTH_SERVER_ENGINE_LOG_READER_H_
