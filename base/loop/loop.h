// One epoll loop: descriptors, timers, and functions posted from other threads.
//
// Invariant: a handler runs only while its FdWatch exists; destroying a watch (its own or
// another's) inside a handler is allowed, and no handler of a destroyed watch runs afterwards, not
// even for an event that the kernel has already reported. Nothing here blocks but Run. Concurrency:
// loop-only (the thread that calls Run, or any one thread before it), except Post and Stop, which
// are thread-safe. Owned by main or by a thread's owner; outlives its watches.
#ifndef BERTH_BASE_LOOP_LOOP_H_
#define BERTH_BASE_LOOP_LOOP_H_

#include <sys/epoll.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/os/mutex.h"
#include "base/os/unique_fd.h"

namespace berth {

class Loop;

// The registration of one descriptor. It does not own the descriptor, and must go before it: epoll
// follows the open file, which may live on in another process after our close.
class FdWatch {
 public:
  FdWatch() = default;
  FdWatch(FdWatch&& other) noexcept;
  FdWatch& operator=(FdWatch&& other) noexcept;
  ~FdWatch() { Reset(); }

  // Changes what is waited for. 0 takes the descriptor out of the set, so that a hang-up, which
  // epoll reports whether asked or not, cannot spin the loop. Errors: as epoll_ctl(2).
  absl::Status SetEvents(uint32_t epoll_events);
  bool active() const { return loop_ != nullptr; }
  void Reset();

 private:
  friend class Loop;
  FdWatch(Loop* loop, uint64_t id) : loop_(loop), id_(id) {}
  Loop* loop_ = nullptr;
  uint64_t id_ = 0;
};

// Names one timer for ever: ids are not reused.
enum class TimerId : uint64_t { kNone = 0 };

class Loop {
 public:
  using EventHandler = absl::AnyInvocable<void(uint32_t epoll_events)>;
  using Function = absl::AnyInvocable<void()>;

  static absl::StatusOr<std::unique_ptr<Loop>> Create();
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  // Dispatches until Stop. Errors: only if epoll itself fails. Blocks.
  absl::Status Run();
  // One round: waits at most `limit` for something to do and does it. For tests and drains. Blocks.
  absl::Status RunOnce(absl::Duration limit);
  // Makes Run return after the current round; a Stop before Run makes it return at once.
  void Stop();
  // Runs `function` on the loop, after those posted earlier. Functions that never ran are destroyed
  // with the loop. Callers bound what they post.
  void Post(Function function);

  // Calls `handler` with the reported events while the watch exists. One watch per open descriptor.
  // Errors: as epoll_ctl(2): PERMISSION_DENIED for a regular file, which is always ready.
  absl::StatusOr<FdWatch> Watch(BorrowedFd fd, uint32_t epoll_events, EventHandler handler);

  // Calls `function` once, not before `delay` has passed. An infinite delay never fires.
  TimerId After(absl::Duration delay, Function function);
  // Forgets a timer; one that has fired, or kNone, is ignored.
  void Cancel(TimerId timer);
  // How long until `timer` fires; infinite for one that is not set.
  absl::Duration Remaining(TimerId timer) const;

  // What is set up here: for a program that takes stock before it executes itself anew, when all of
  // it goes. Called from a timer, it does not count that timer.
  struct Contents {
    size_t watches = 0;
    size_t timers = 0;
    size_t posted = 0;
  };
  Contents contents();
  // The loop's own descriptors.
  bool Owns(int fd) const { return fd == epoll_.get() || fd == wake_.get(); }

 private:
  friend class FdWatch;
  struct Entry {
    int fd = -1;
    uint32_t events = 0;  // 0: not in the epoll set
    EventHandler handler;
  };
  using TimerKey = std::pair<int64_t, uint64_t>;  // monotonic due time in ns, id

  Loop(UniqueFd epoll, UniqueFd wake) : epoll_(std::move(epoll)), wake_(std::move(wake)) {}
  absl::Status SetEvents(uint64_t id, uint32_t epoll_events);
  void Remove(uint64_t id);
  int64_t NanosecondsToWait(absl::Duration limit);
  void RunTimers();
  void RunPosted();

  const UniqueFd epoll_;
  const UniqueFd wake_;

  uint64_t next_id_ = 1;  // 0 is the eventfd's
  absl::flat_hash_map<uint64_t, std::unique_ptr<Entry>> entries_;
  std::vector<std::unique_ptr<Entry>> removed_;  // kept until the round ends: one may be running
  std::map<TimerKey, Function> timers_;
  absl::flat_hash_map<uint64_t, int64_t> timer_due_ns_;

  Mutex mutex_;
  std::vector<Function> posted_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace berth

#endif  // BERTH_BASE_LOOP_LOOP_H_
