#include "server/worker/follow_source.h"

#include <errno.h>
#include <unistd.h>

#include <algorithm>

#include "absl/status/status.h"
#include "base/status/errno_status.h"

namespace berth::worker {
namespace {

// How soon a cancelled job notices while nothing arrives.
constexpr absl::Duration kLook = absl::Milliseconds(200);

}  // namespace

absl::StatusOr<size_t> FollowSource::Read(char* buffer, size_t capacity) {
  while (available_ <= offset_) {
    if (cancelled_.load(std::memory_order_relaxed)) {
      return absl::CancelledError("the unpacking was cancelled");
    }
    const Progress progress = table_.Wait(slot_, offset_, kLook);
    available_ = progress.offset;
    if (progress.state == ProgressState::kFailed) {
      return absl::AbortedError("the layer that was being unpacked did not arrive completely");
    }
    if (available_ <= offset_ && progress.state == ProgressState::kDone) return 0;
  }
  const size_t want = std::min<uint64_t>(capacity, available_ - offset_);
  for (;;) {
    const ssize_t got = ::pread(file_.get(), buffer, want, static_cast<off_t>(offset_));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return ErrnoStatus(errno, "pread");
    if (got == 0) return absl::AbortedError("the layer that was being unpacked was cut off");
    offset_ += static_cast<uint64_t>(got);
    return static_cast<size_t>(got);
  }
}

}  // namespace berth::worker
