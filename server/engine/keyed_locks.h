// One lock per container, for steps that must not mix; whoever waits holds no thread.
//
// Invariant: locks of one key are given in the order in which they were asked for. Thread-safe;
// owned by Engine, outlives all guards.
#ifndef BERTH_SERVER_ENGINE_KEYED_LOCKS_H_
#define BERTH_SERVER_ENGINE_KEYED_LOCKS_H_

#include <deque>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "base/os/mutex.h"
#include "server/engine/container_table.h"

namespace berth::engine {

class KeyedLocks {
 public:
  // Holds the lock until it is destroyed.
  class Guard {
   public:
    Guard(Guard&& other) noexcept
        : locks_(std::exchange(other.locks_, nullptr)), key_(std::move(other.key_)) {}
    Guard& operator=(Guard&&) = delete;
    ~Guard() { Release(); }
    void Release();

   private:
    friend class KeyedLocks;
    Guard(KeyedLocks* locks, ContainerKey key) : locks_(locks), key_(std::move(key)) {}
    KeyedLocks* locks_;
    ContainerKey key_;
  };

  // `taken` runs on this thread when the lock is free, else on that of whoever frees it: it must
  // not block.
  void Acquire(const ContainerKey& key, absl::AnyInvocable<void(Guard)> taken);

 private:
  Mutex mutex_;
  // A key that is here is locked; the queue holds who waits.
  absl::flat_hash_map<ContainerKey, std::deque<absl::AnyInvocable<void(Guard)>>> locked_
      ABSL_GUARDED_BY(mutex_);
};

}  // namespace berth::engine

#endif  // BERTH_SERVER_ENGINE_KEYED_LOCKS_H_
