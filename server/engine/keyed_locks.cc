#include "server/engine/keyed_locks.h"

namespace berth::engine {

void KeyedLocks::Acquire(const ContainerKey& key, absl::AnyInvocable<void(Guard)> taken) {
  {
    MutexLock lock(&mutex_);
    const auto [place, is_free] = locked_.try_emplace(key);
    if (!is_free) {
      place->second.push_back(std::move(taken));
      return;
    }
  }
  taken(Guard(this, key));
}

void KeyedLocks::Guard::Release() {
  KeyedLocks* const locks = std::exchange(locks_, nullptr);
  if (locks == nullptr) return;
  absl::AnyInvocable<void(Guard)> next;
  {
    MutexLock lock(&locks->mutex_);
    const auto place = locks->locked_.find(key_);
    if (place->second.empty()) {
      locks->locked_.erase(place);
      return;
    }
    next = std::move(place->second.front());
    place->second.pop_front();
  }
  next(Guard(locks, key_));
}

}  // namespace berth::engine
