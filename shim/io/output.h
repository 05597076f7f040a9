// Opening what a process's output goes to when that is a path.
//
// Invariant: nothing here waits. A FIFO is opened for writing only when somebody reads it (what is
// written before would be lost if the client never came), and for reading as well, so that a client
// that leaves kills no writer and loses no byte of the FIFO. Thread-safe functions.
#ifndef BERTH_SHIM_IO_OUTPUT_H_
#define BERTH_SHIM_IO_OUTPUT_H_

#include "absl/status/statusor.h"
#include "base/os/unique_fd.h"
#include "shim/io/target.h"

namespace berth::io {

struct Output {
  UniqueFd sink;
  UniqueFd keep;  // a FIFO's reading end, which is never read
};

// `target` is a path. Errors: UNAVAILABLE for a FIFO that nobody reads yet (try again);
// NOT_FOUND for a path that does not exist.
absl::StatusOr<Output> OpenOutput(const Target& target);

struct Input {
  UniqueFd source;
  UniqueFd keep;  // a FIFO's writing end: without it the first client to leave would end the stream
};

// A FIFO or a file. Does not wait for a writer.
absl::StatusOr<Input> OpenInput(const Target& target);

}  // namespace berth::io

#endif  // BERTH_SHIM_IO_OUTPUT_H_
