#include "server/task/life_trace.h"

#include <algorithm>

namespace berth {

void LifeTrace::Begin(const TaskKey& key) {
  MutexLock lock(&mutex_);
  const auto [trace, is_new] = traces_.try_emplace(key);
  trace->second.clear();
  if (!is_new) begun_.erase(std::find(begun_.begin(), begun_.end(), key));
  begun_.push_back(key);
  if (begun_.size() <= kTasks) return;
  traces_.erase(begun_.front());
  begun_.pop_front();
}

void LifeTrace::Add(const TaskKey& key, const Span& span) {
  MutexLock lock(&mutex_);
  const auto trace = traces_.find(key);
  if (trace != traces_.end() && trace->second.size() < kSpans) trace->second.push_back(span);
}

std::vector<LifeTrace::Span> LifeTrace::Of(const TaskKey& key) const {
  MutexLock lock(&mutex_);
  const auto trace = traces_.find(key);
  return trace == traces_.end() ? std::vector<Span>() : trace->second;
}

}  // namespace berth
