// The process that writes a container's log: a copy of the shim that holds nothing but two pipes
// and the file, so that a filesystem that stalls stalls it alone.
//
// It reads both pipes until they end, cuts lines, formats, writes and rotates. Invariant: never
// gives up while a pipe is open: what the disk refuses is counted and dropped, so that the
// container neither blocks nor dies. It outlives the shim until it has written what the pipes held.
// Runs in a child of a one-threaded process; blocks.
#ifndef BERTH_SHIM_IO_LOG_WRITER_H_
#define BERTH_SHIM_IO_LOG_WRITER_H_

#include <atomic>
#include <cstdint>
#include <string>

#include "base/os/unique_fd.h"
#include "shim/io/target.h"

namespace berth::io {

// In a page that shim and writer share; the writer alone writes. A shim may be a newer program than
// its writer: fields are only ever added, at the end, and then under another size.
struct LogCounters {
  std::atomic<uint64_t> bytes{0};
  std::atomic<uint64_t> records{0};
  std::atomic<uint64_t> rotations{0};
  std::atomic<uint64_t> dropped_bytes{0};  // of output
  std::atomic<uint64_t> errors{0};
  std::atomic<int> last_errno{0};
};

struct LogWriterPlan {
  struct Stream {
    std::string path = "";  // empty: this stream has another target
    UniqueFd pipe = {};
  };
  LogOptions options;  // kRaw: two files, or one
  Stream out;
  Stream err;
  // Gets "ok", or the errno in decimal, a blank, and a message; then it is closed.
  UniqueFd report;
  LogCounters* counters = nullptr;
};

// Returns the exit code, when both pipes have ended or the files could not be opened.
int RunLogWriter(LogWriterPlan plan);

}  // namespace berth::io

#endif  // BERTH_SHIM_IO_LOG_WRITER_H_
