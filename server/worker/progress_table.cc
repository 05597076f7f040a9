#include "server/worker/progress_table.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <climits>
#include <utility>

#include "absl/status/status.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"

namespace berth::worker {

struct alignas(64) ProgressTable::Slot {
  std::atomic<uint64_t> offset;
  std::atomic<uint64_t> total;
  std::atomic<uint32_t> state;
  std::atomic<uint32_t> waiters;
  std::atomic<uint32_t> changes;  // what waiters sleep on
};

namespace {

constexpr size_t kSlotBytes = 64;
constexpr size_t kTableBytes = kProgressSlots * kSlotBytes;
static_assert(std::atomic<uint64_t>::is_always_lock_free);

}  // namespace

absl::StatusOr<std::unique_ptr<ProgressTable>> ProgressTable::Create() {
  // Sealed against shrinking: a worker that truncated it would end berthd by SIGBUS.
  UniqueFd fd(::memfd_create("berth-progress", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd.valid()) return ErrnoStatus(errno, "memfd_create", "berth-progress");
  if (::ftruncate(fd.get(), kTableBytes) != 0) return ErrnoStatus(errno, "ftruncate");
  if (::fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
    return ErrnoStatus(errno, "fcntl(F_ADD_SEALS)");
  }
  return Map(std::move(fd));
}

absl::StatusOr<std::unique_ptr<ProgressTable>> ProgressTable::Map(UniqueFd fd) {
  static_assert(sizeof(Slot) == kSlotBytes);
  struct stat info;
  if (::fstat(fd.get(), &info) != 0) return ErrnoStatus(errno, "fstat");
  if (info.st_size < static_cast<off_t>(kTableBytes)) {
    return absl::InvalidArgumentError("the table of progress is too small");
  }
  void* const memory =
      ::mmap(nullptr, kTableBytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
  if (memory == MAP_FAILED) return ErrnoStatus(errno, "mmap");
  return std::unique_ptr<ProgressTable>(
      new ProgressTable(std::move(fd), static_cast<Slot*>(memory)));
}

ProgressTable::~ProgressTable() { ::munmap(static_cast<void*>(slots_), kTableBytes); }

ProgressTable::Slot* ProgressTable::At(uint32_t slot) const {
  return slot > 0 && slot < kProgressSlots ? &slots_[slot] : nullptr;
}

void ProgressTable::Wake(Slot& slot) {
  slot.changes.fetch_add(1, std::memory_order_seq_cst);
  if (slot.waiters.load(std::memory_order_seq_cst) == 0) return;
  ::syscall(SYS_futex, &slot.changes, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
}

void ProgressTable::Begin(uint32_t slot) {
  Slot* const at = At(slot);
  if (at == nullptr) return;
  at->offset.store(0, std::memory_order_relaxed);
  at->total.store(0, std::memory_order_relaxed);
  at->state.store(static_cast<uint32_t>(ProgressState::kRunning), std::memory_order_release);
  Wake(*at);
}

void ProgressTable::Advance(uint32_t slot, uint64_t offset, uint64_t total) {
  Slot* const at = At(slot);
  if (at == nullptr) return;
  at->total.store(total, std::memory_order_relaxed);
  at->offset.store(offset, std::memory_order_release);
  Wake(*at);
}

void ProgressTable::End(uint32_t slot, ProgressState state) {
  Slot* const at = At(slot);
  if (at == nullptr) return;
  at->state.store(static_cast<uint32_t>(state), std::memory_order_release);
  Wake(*at);
}

Progress ProgressTable::Read(uint32_t slot) const {
  Progress progress;
  const Slot* const at = At(slot);
  if (at == nullptr) return progress;
  // The state first: what it says of the offset is true of the one that is read after it.
  const uint32_t state = at->state.load(std::memory_order_acquire);
  progress.state = state <= static_cast<uint32_t>(ProgressState::kFailed)
                       ? static_cast<ProgressState>(state)
                       : ProgressState::kFailed;
  progress.offset = at->offset.load(std::memory_order_acquire);
  progress.total = at->total.load(std::memory_order_relaxed);
  return progress;
}

Progress ProgressTable::Wait(uint32_t slot, uint64_t offset, absl::Duration timeout) {
  Slot* const at = At(slot);
  if (at == nullptr) return Progress();
  const absl::Time deadline = absl::Now() + timeout;
  at->waiters.fetch_add(1, std::memory_order_seq_cst);
  Progress progress;
  for (;;) {
    const uint32_t seen = at->changes.load(std::memory_order_seq_cst);
    progress = Read(slot);
    const bool ended =
        progress.state == ProgressState::kDone || progress.state == ProgressState::kFailed;
    const absl::Duration left = deadline - absl::Now();
    if (ended || progress.offset > offset || left <= absl::ZeroDuration()) break;
    const struct timespec wait = absl::ToTimespec(left);
    ::syscall(SYS_futex, &at->changes, FUTEX_WAIT, seen, &wait, nullptr, 0);
  }
  at->waiters.fetch_sub(1, std::memory_order_seq_cst);
  return progress;
}

}  // namespace berth::worker
