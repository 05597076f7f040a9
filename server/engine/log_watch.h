// Tells who follows a log that something was written into its directory: one inotify descriptor for
// all of them, and nothing to do while nothing is written.
//
// Invariant: `changed` runs once soon after Add, and again after every later change, so that
// whoever reads to the end after each call misses nothing. Where the kernel gives no further watch
// the directory is looked at in intervals instead. Add and Remove are thread-safe; `changed` runs
// on the loop and must not block. Owned by Engine; told before the loop goes.
#ifndef BERTH_SERVER_ENGINE_LOG_WATCH_H_
#define BERTH_SERVER_ENGINE_LOG_WATCH_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "base/loop/loop.h"
#include "base/os/unique_fd.h"

namespace berth::engine {

class LogWatch {
 public:
  enum class Ticket : uint64_t { kNone = 0 };
  using Changed = std::function<void()>;

  explicit LogWatch(Loop& loop) : loop_(loop) {}
  LogWatch(const LogWatch&) = delete;
  LogWatch& operator=(const LogWatch&) = delete;

  Ticket Add(std::string directory, Changed changed);
  // `changed` may still be running when this returns, and does not run again afterwards.
  void Remove(Ticket ticket);
  // For the loop's owner, when it runs no more and before it is destroyed: lets go of it.
  void LoopEnded() { events_.Reset(); }

 private:
  struct Follower {
    Changed changed;
    int watch = -1;  // -1: looked at in intervals
  };

  // All on the loop.
  void Register(Ticket ticket, const std::string& directory, Changed changed);
  void Forget(Ticket ticket);
  absl::Status Open();
  void OnEvents();
  void Tell(Ticket ticket);
  void TellLater(Ticket ticket);

  Loop& loop_;
  std::atomic<uint64_t> last_{0};
  UniqueFd inotify_;
  FdWatch events_;
  absl::flat_hash_map<Ticket, Follower> followers_;
  absl::flat_hash_map<int, absl::flat_hash_set<Ticket>> of_watch_;
};

}  // namespace berth::engine

#endif  // BERTH_SERVER_ENGINE_LOG_WATCH_H_
