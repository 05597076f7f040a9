// Reads an upload while another process writes it.
//
// Invariant: gives exactly the bytes that the writer has declared to be there, in order, and ends
// when the writer says that it is done. Thread-compatible. Owned by one apply job.
#ifndef BERTH_SERVER_WORKER_FOLLOW_SOURCE_H_
#define BERTH_SERVER_WORKER_FOLLOW_SOURCE_H_

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "absl/status/statusor.h"
#include "base/os/unique_fd.h"
#include "server/worker/progress_table.h"
#include "snapshotter/layer/byte_stream.h"

namespace berth::worker {

class FollowSource final : public layer::ByteSource {
 public:
  // `file` and `table` are borrowed.
  FollowSource(BorrowedFd file, ProgressTable& table, uint32_t slot,
               const std::atomic<bool>& cancelled)
      : file_(file), table_(table), slot_(slot), cancelled_(cancelled) {}
  // Errors: ABORTED when the fetch failed; CANCELLED; those of the system. Blocks until there are
  // bytes.
  absl::StatusOr<size_t> Read(char* buffer, size_t capacity) override;

 private:
  BorrowedFd file_;
  ProgressTable& table_;
  const uint32_t slot_;
  const std::atomic<bool>& cancelled_;
  uint64_t offset_ = 0;
  uint64_t available_ = 0;
};

}  // namespace berth::worker

#endif  // BERTH_SERVER_WORKER_FOLLOW_SOURCE_H_
