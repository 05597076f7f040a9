// How far each fetch and push is: counters in memory that berthd and its workers share.
//
// berthd makes the table and lends slots; the job that has a slot advances it, others look and
// wait. What a worker writes there is believed by nobody where it matters: a follower reads no
// further than its file goes, and the digest of the whole decides.
//
// Invariant: a slot goes Begin, Advance any number of times, End once. Slot 0 belongs to nobody and
// ignores everything. Thread-safe, lock-free but for Wait. The memory lives as long as any mapping.
#ifndef BERTH_SERVER_WORKER_PROGRESS_TABLE_H_
#define BERTH_SERVER_WORKER_PROGRESS_TABLE_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/os/unique_fd.h"

namespace berth::worker {

inline constexpr uint32_t kProgressSlots = 1024;

enum class ProgressState : uint32_t { kIdle = 0, kRunning = 1, kDone = 2, kFailed = 3 };

struct Progress {
  uint64_t offset = 0;  // bytes that are there, from the beginning
  uint64_t total = 0;   // 0: not known
  ProgressState state = ProgressState::kIdle;
};

class ProgressTable {
 public:
  // A new table; its descriptor goes to the workers.
  static absl::StatusOr<std::unique_ptr<ProgressTable>> Create();
  // The table behind an inherited descriptor. Errors: INVALID_ARGUMENT when it is too small.
  static absl::StatusOr<std::unique_ptr<ProgressTable>> Map(UniqueFd fd);
  ~ProgressTable();
  ProgressTable(const ProgressTable&) = delete;
  ProgressTable& operator=(const ProgressTable&) = delete;

  BorrowedFd fd() const { return fd_; }

  void Begin(uint32_t slot);
  void Advance(uint32_t slot, uint64_t offset, uint64_t total);
  // `state`: kDone or kFailed. Wakes who waits.
  void End(uint32_t slot, ProgressState state);
  Progress Read(uint32_t slot) const;
  // Until the slot is beyond `offset`, or ended, or `timeout` has passed. Blocks.
  Progress Wait(uint32_t slot, uint64_t offset, absl::Duration timeout);

 private:
  struct Slot;
  ProgressTable(UniqueFd fd, Slot* slots) : fd_(std::move(fd)), slots_(slots) {}
  Slot* At(uint32_t slot) const;
  static void Wake(Slot& slot);

  const UniqueFd fd_;
  Slot* const slots_;
};

}  // namespace berth::worker

#endif  // BERTH_SERVER_WORKER_PROGRESS_TABLE_H_
