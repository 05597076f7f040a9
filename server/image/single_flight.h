// Work that is done once however many want it: the first to claim a key does it, the others are
// told when it has ended and look again.
//
// Invariant: a key has at most one owner; every waiter is called exactly once, after Release, on
// the releasing thread (it must not block: post from it). Thread-safe. Owned by whoever orders the
// work.
#ifndef BERTH_SERVER_IMAGE_SINGLE_FLIGHT_H_
#define BERTH_SERVER_IMAGE_SINGLE_FLIGHT_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "base/os/mutex.h"

namespace berth::image {

class SingleFlight {
 public:
  using Waiter = absl::AnyInvocable<void()>;

  // True: the caller does the work and calls Release. False: `waiter` will be called.
  bool Claim(const std::string& key, Waiter waiter) ABSL_LOCKS_EXCLUDED(mutex_) {
    MutexLock lock(&mutex_);
    const auto [entry, is_new] = waiters_.try_emplace(key);
    if (!is_new) entry->second.push_back(std::move(waiter));
    return is_new;
  }
  void Release(const std::string& key) ABSL_LOCKS_EXCLUDED(mutex_) {
    std::vector<Waiter> woken;
    {
      MutexLock lock(&mutex_);
      const auto entry = waiters_.find(key);
      if (entry == waiters_.end()) return;
      woken = std::move(entry->second);
      waiters_.erase(entry);
    }
    for (Waiter& waiter : woken) waiter();
  }

 private:
  Mutex mutex_;
  absl::flat_hash_map<std::string, std::vector<Waiter>> waiters_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace berth::image

#endif  // BERTH_SERVER_IMAGE_SINGLE_FLIGHT_H_
