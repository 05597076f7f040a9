// One record of a log in the formats that other programs read: Docker's json-file, and the lines of
// the Kubernetes container runtime interface (CRI). docs/formats/logs.md is the description.
//
// Pure functions, thread-safe.
#ifndef BERTH_SHIM_IO_LOG_FORMAT_H_
#define BERTH_SHIM_IO_LOG_FORMAT_H_

#include <time.h>

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"

namespace berth::io {

// A longer line is several records.
inline constexpr size_t kMaxRecordText = 16 << 10;

enum class LogStream { kOut, kErr };

// `text` ends with '\n', but for a piece of a longer line and for the end of the output.
void AppendJsonRecord(LogStream stream, absl::string_view text, const struct timespec& time,
                      std::string& out);
// `text` is as above; the record says whether its line goes on.
void AppendCriRecord(LogStream stream, absl::string_view text, const struct timespec& time,
                     std::string& out);

}  // namespace berth::io

#endif  // BERTH_SHIM_IO_LOG_FORMAT_H_
