#include "server/engine/end_waiters.h"

#include <algorithm>
#include <utility>

namespace berth::engine {

EndWaiters::Ticket EndWaiters::Wait(const ContainerKey& key, For what, Callback callback) {
  MutexLock lock(&mutex_);
  const Ticket ticket = next_++;
  waiters_[key].emplace(ticket, Waiter{what, std::move(callback)});
  return ticket;
}

void EndWaiters::Cancel(const ContainerKey& key, Ticket ticket) {
  MutexLock lock(&mutex_);
  const auto found = waiters_.find(key);
  if (found == waiters_.end()) return;
  found->second.erase(ticket);
  if (found->second.empty()) waiters_.erase(found);
}

std::vector<EndWaiters::Callback> EndWaiters::Take(const ContainerKey& key, For up_to) {
  std::vector<Callback> taken;
  MutexLock lock(&mutex_);
  const auto found = waiters_.find(key);
  if (found == waiters_.end()) return taken;
  for (auto it = found->second.begin(); it != found->second.end();) {
    if (up_to == For::kExit && it->second.what == For::kRemoval) {
      ++it;
      continue;
    }
    taken.push_back(std::move(it->second.callback));
    it = found->second.erase(it);
  }
  if (found->second.empty()) waiters_.erase(found);
  return taken;
}

void EndWaiters::TellExit(const ContainerKey& key, const ContainerEnd& end) {
  for (Callback& callback : Take(key, For::kExit)) callback(end);
}

void EndWaiters::TellRemoval(const ContainerKey& key, const ContainerEnd& end) {
  {
    MutexLock lock(&mutex_);
    if (removed_.size() >= kRemembered) removed_.pop_front();
    removed_.emplace_back(key, end);
  }
  for (Callback& callback : Take(key, For::kRemoval)) callback(end);
}

std::optional<ContainerEnd> EndWaiters::EndOfRemoved(const ContainerKey& key) {
  MutexLock lock(&mutex_);
  const auto found = std::find_if(removed_.rbegin(), removed_.rend(),
                                  [&](const auto& one) { return one.first == key; });
  if (found == removed_.rend()) return std::nullopt;
  return found->second;
}

void EndWaiters::Close(const absl::Status& reason) {
  absl::flat_hash_map<ContainerKey, std::map<Ticket, Waiter>> all;
  {
    MutexLock lock(&mutex_);
    all.swap(waiters_);
  }
  for (auto& [key, waiters] : all) {
    for (auto& [ticket, waiter] : waiters) waiter.callback(reason);
  }
}

}  // namespace berth::engine
