#include "client/attach/sent_input.h"

#include <algorithm>

namespace berth::client {

void SentInput::Begin() {
  MutexLock lock(&mutex_);
  is_known_ = false;
  is_over_ = false;
}

void SentInput::Stop() {
  MutexLock lock(&mutex_);
  is_over_ = true;
}

void SentInput::Add(absl::string_view bytes) {
  MutexLock lock(&mutex_);
  kept_.append(bytes.data(), bytes.size());
}

void SentInput::Taken(uint64_t total) {
  MutexLock lock(&mutex_);
  if (total < begin_) {
    // Less than it once had: a process that has been started anew. It gets what the old one did
    // not.
    begin_ = total;
  } else {
    const size_t count = static_cast<size_t>(std::min<uint64_t>(total - begin_, kept_.size()));
    kept_.erase(0, count);
    begin_ = total;
  }
  is_known_ = true;
}

bool SentInput::AwaitRoom() {
  MutexLock lock(&mutex_);
  mutex_.Await(absl::Condition(this, &SentInput::HasRoom));
  return !is_over_;
}

std::optional<std::string> SentInput::AwaitResume() {
  MutexLock lock(&mutex_);
  mutex_.Await(absl::Condition(this, &SentInput::IsKnown));
  if (is_over_) return std::nullopt;
  return kept_;
}

bool SentInput::Contains(char byte) const {
  MutexLock lock(&mutex_);
  return kept_.find(byte) != std::string::npos;
}

bool SentInput::IsFull() const {
  MutexLock lock(&mutex_);
  return kept_.size() >= kWindowBytes;
}

}  // namespace berth::client
