// What a client's word for a standard stream means: nothing, a FIFO or file by path, `file://`, a
// logging program by `binary://` and `binary-v2://`, a log that the shim keeps by `berth-log://`,
// or the clients of the attach socket by `berth-attach://`.
//
// Immutable value and pure function, thread-safe.
#ifndef BERTH_SHIM_IO_TARGET_H_
#define BERTH_SHIM_IO_TARGET_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace berth::io {

enum class TargetKind {
  kNull,
  kPath,      // a FIFO that the client made, or any other file that exists
  kFile,      // a file to append to, made where it is missing
  kBinary,    // a program that reads the streams; ready when it closes descriptor 5 or writes to it
  kBinaryV2,  // the same; closing without a byte means that it failed
  kLog,       // a log in a format of ours, rotated; docs/formats/logs.md
  kAttach,    // whoever is attached, and nobody else
};

enum class LogFormat { kRaw, kJsonFile, kCri };
// What the container does when its log takes nothing.
enum class LogMode { kBlocking, kNonBlocking };

struct LogOptions {
  LogFormat format = LogFormat::kJsonFile;
  uint64_t max_size_bytes = 10'000'000;  // of one file; 0: no limit
  uint32_t max_files = 3;                // the one that is written included
  LogMode mode = LogMode::kBlocking;
  uint32_t max_buffer_bytes = 1u << 20;  // with kNonBlocking
  friend bool operator==(const LogOptions&, const LogOptions&) = default;
};

struct Target {
  TargetKind kind = TargetKind::kNull;
  std::string path = "";
  // Of a program, without argv[0]: each query key followed by its first value.
  std::vector<std::string> arguments = {};
  LogOptions log = {};                                                        // of kLog
  enum class InputEnd { kStays, kFirstClient } input_end = InputEnd::kStays;  // of kAttach
};

// Errors: INVALID_ARGUMENT for another scheme, a malformed escape or a relative path.
absl::StatusOr<Target> ParseTarget(absl::string_view text);

}  // namespace berth::io

#endif  // BERTH_SHIM_IO_TARGET_H_
