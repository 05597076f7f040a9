#include "server/registry/segments.h"

#include <algorithm>
#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "base/os/mutex.h"
#include "base/status/status_macros.h"

namespace berth::registry {
namespace {

// How many segments exist in the process. Connections beyond the first take theirs from here.
std::atomic<int>& HeldSegments() {
  static std::atomic<int> held{0};
  return held;
}

int TakeExtra(int wanted) {
  std::atomic<int>& held = HeldSegments();
  int taken = 0;
  while (taken < wanted) {
    int now = held.load();
    if (now >= kMaxSegments) break;
    if (held.compare_exchange_weak(now, now + 1)) ++taken;
  }
  return taken;
}

class Reader {
 public:
  Reader(const HostClient& host, const BlobPart& part, const Context& context,
         absl::FunctionRef<absl::Status(absl::string_view)> sink)
      : host_(host), part_(part), context_(context), sink_(sink), next_(part.begin) {}

  SegmentsResult Run() {
    const uint64_t segments = (part_.end - part_.begin + kSegmentBytes - 1) / kSegmentBytes;
    const int extra = TakeExtra(
        static_cast<int>(std::min<uint64_t>(kConnections - 1, segments > 0 ? segments - 1 : 0)));
    std::vector<std::thread> threads;
    for (int i = 0; i < extra; ++i) threads.emplace_back([this] { Work(); });
    Work();
    for (std::thread& thread : threads) thread.join();
    HeldSegments().fetch_sub(extra);
    MutexLock lock(&mutex_);
    return {status_, received_};
  }

 private:
  void Work() {
    HostClient host(host_.host(), host_.registry(), context_.session, stopped_or_cancelled_);
    std::string bytes;
    bytes.reserve(kSegmentBytes);
    for (;;) {
      BlobPart segment = part_;
      {
        MutexLock lock(&mutex_);
        if (!status_.ok() || claimed_ == part_.end) return;
        if (claimed_ == 0) claimed_ = part_.begin;
        segment.begin = claimed_;
        segment.end = std::min<uint64_t>(claimed_ + kSegmentBytes, part_.end);
        claimed_ = segment.end;
      }
      bytes.clear();
      BlobStream stream(host);
      absl::Status status = stream.Read(segment, [&](absl::string_view more) {
        if (context_.cancelled.load(std::memory_order_relaxed)) {
          return absl::CancelledError("cancelled");
        }
        bytes.append(more.data(), more.size());
        return absl::OkStatus();
      });
      if (!Deliver(segment, bytes, std::move(status), stream.bytes_received())) return;
    }
  }

  // Waits for the segment's turn. False when there is no more to do.
  bool Deliver(const BlobPart& segment, absl::string_view bytes, absl::Status status,
               uint64_t received) {
    MutexLock lock(&mutex_);
    received_ += received;
    const auto my_turn = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return !status_.ok() || next_ == segment.begin;
    };
    mutex_.Await(absl::Condition(&my_turn));
    if (!status_.ok()) return false;
    // The sink runs under the lock: it is one at a time, and the others only wait for it.
    if (status.ok()) status = sink_(bytes);
    if (!status.ok()) {
      status_ = std::move(status);
      stopped_or_cancelled_.store(true);
      return false;
    }
    next_ = segment.end;
    return true;
  }

  const HostClient& host_;
  const BlobPart& part_;
  const Context& context_;
  const absl::FunctionRef<absl::Status(absl::string_view)> sink_;
  std::atomic<bool> stopped_or_cancelled_{false};
  Mutex mutex_;
  absl::Status status_ ABSL_GUARDED_BY(mutex_);
  uint64_t claimed_ ABSL_GUARDED_BY(mutex_) = 0;  // up to here the segments are somebody's
  uint64_t next_ ABSL_GUARDED_BY(mutex_);         // up to here the sink has them
  uint64_t received_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace

SegmentsResult ReadSegments(const HostClient& host, const BlobPart& part, const Context& context,
                            absl::FunctionRef<absl::Status(absl::string_view)> sink) {
  return Reader(host, part, context, sink).Run();
}

}  // namespace berth::registry
