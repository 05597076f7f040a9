#include "server/engine/attachments.h"

#include <atomic>
#include <memory>
#include <utility>

namespace berth::engine {

uint64_t Attachments::Add(const ContainerKey& key, Connect connect) {
  MutexLock lock(&mutex_);
  const uint64_t number = next_++;
  waiting_[key].emplace(number, std::move(connect));
  return number;
}

void Attachments::Cancel(const ContainerKey& key, uint64_t number) {
  MutexLock lock(&mutex_);
  const auto found = waiting_.find(key);
  if (found == waiting_.end()) return;
  found->second.erase(number);
  if (found->second.empty()) waiting_.erase(found);
}

void Attachments::OnTaskCreated(const ContainerKey& key, absl::AnyInvocable<void()> ready) {
  std::map<uint64_t, Connect> taken;
  {
    MutexLock lock(&mutex_);
    const auto found = waiting_.find(key);
    if (found != waiting_.end()) {
      taken = std::move(found->second);
      waiting_.erase(found);
    }
  }
  if (taken.empty()) return ready();
  struct Count {
    std::atomic<size_t> left;
    absl::AnyInvocable<void()> ready;
  };
  auto count = std::make_shared<Count>();
  count->left = taken.size();
  count->ready = std::move(ready);
  for (auto& [number, connect] : taken) {
    connect([count] {
      if (count->left.fetch_sub(1) == 1) count->ready();
    });
  }
}

}  // namespace berth::engine
