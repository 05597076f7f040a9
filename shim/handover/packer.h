// Collects what a shim hands to the program that it becomes: the descriptors that travel, and what
// is set up on the loop.
//
// Whoever saves his state passes each descriptor, watch and timer of his through here. Invariant:
// CheckComplete is OK only when nothing is on the loop, and no descriptor is open, that nobody has
// named; so what is under way, and what somebody forgot, makes an upgrade wait, and never goes
// lost. Loop-only. Owned by the upgrade that asks for the state.
#ifndef BERTH_SHIM_HANDOVER_PACKER_H_
#define BERTH_SHIM_HANDOVER_PACKER_H_

#include <cstddef>
#include <cstdint>
#include <set>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/loop/loop.h"
#include "base/os/unique_fd.h"

namespace berth::handover {

// Of a timer that is not set.
inline constexpr int64_t kNotSet = -1;
// InfinitePast, which stands for "never", is 0.
int64_t ToNanoseconds(absl::Time time);
absl::Time FromNanoseconds(int64_t nanoseconds);

class Packer {
 public:
  explicit Packer(Loop& loop) : loop_(loop) {}
  Packer(const Packer&) = delete;
  Packer& operator=(const Packer&) = delete;

  // The number of a descriptor that travels; 0 for an invalid one.
  int32_t Pack(BorrowedFd fd);
  // Open as well, and left behind.
  void Leave(BorrowedFd fd) { left_.insert(fd.get()); }
  void Count(const FdWatch& watch) { watches_ += watch.active() ? 1 : 0; }
  // What is left of it in nanoseconds, or kNotSet.
  int64_t Count(TimerId timer);

  const std::set<int>& descriptors() const { return packed_; }
  // Errors: UNAVAILABLE, saying what nobody has named.
  absl::Status CheckComplete() const;

 private:
  Loop& loop_;
  std::set<int> packed_;
  std::set<int> left_;
  size_t watches_ = 0;
  size_t timers_ = 0;
};

}  // namespace berth::handover

#endif  // BERTH_SHIM_HANDOVER_PACKER_H_
