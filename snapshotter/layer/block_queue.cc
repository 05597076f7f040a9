#include "snapshotter/layer/block_queue.h"

#include <utility>

namespace berth::layer {

BlockQueue::BlockQueue() {
  for (Block& block : ring_) block.bytes = std::make_unique<char[]>(kBlockBytes);
}

BlockQueue::Block* BlockQueue::TakeFree() {
  MutexLock lock(&mutex_);
  const auto ready = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return abandoned_ || filled_ - emptied_ < kBlocks;
  };
  mutex_.Await(absl::Condition(&ready));
  return abandoned_ ? nullptr : &ring_[filled_ % kBlocks];
}

void BlockQueue::PushFilled() {
  MutexLock lock(&mutex_);
  ++filled_;
}

void BlockQueue::Finish(absl::Status status) {
  MutexLock lock(&mutex_);
  finished_ = true;
  end_ = std::move(status);
}

absl::StatusOr<absl::string_view> BlockQueue::Next() {
  MutexLock lock(&mutex_);
  if (std::exchange(lent_, false)) ++emptied_;
  const auto ready = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return finished_ || filled_ > emptied_;
  };
  mutex_.Await(absl::Condition(&ready));
  if (filled_ == emptied_) {
    if (!end_.ok()) return end_;
    return absl::string_view();
  }
  lent_ = true;
  const Block& block = ring_[emptied_ % kBlocks];
  return absl::string_view(block.bytes.get(), block.size);
}

void BlockQueue::Abandon() {
  MutexLock lock(&mutex_);
  abandoned_ = true;
}

}  // namespace berth::layer
