// What a client's word for a standard stream means: nothing, a FIFO or file by path, `file://`, or
// a logging program by `binary://` and `binary-v2://`.
//
// Immutable value and pure function, thread-safe.
#ifndef BERTH_SHIM_IO_TARGET_H_
#define BERTH_SHIM_IO_TARGET_H_

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
};

struct Target {
  TargetKind kind = TargetKind::kNull;
  std::string path = "";
  // Of a program, without argv[0]: each query key followed by its first value.
  std::vector<std::string> arguments = {};
};

// Errors: INVALID_ARGUMENT for another scheme, a malformed escape or a relative path.
absl::StatusOr<Target> ParseTarget(absl::string_view text);

}  // namespace berth::io

#endif  // BERTH_SHIM_IO_TARGET_H_
