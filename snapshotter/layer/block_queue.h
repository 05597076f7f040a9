// A bounded queue of byte blocks between two threads: one decompresses and hashes, the other writes
// files.
//
// Invariant: at most kBlocks blocks of kBlockBytes exist; each side waits for the other. The stream
// ends once, by Finish (with OK or the producer's error) or by Abandon. Thread-safe for one
// producer and one consumer. Owned by the apply job.
#ifndef BERTH_SNAPSHOTTER_LAYER_BLOCK_QUEUE_H_
#define BERTH_SNAPSHOTTER_LAYER_BLOCK_QUEUE_H_

#include <array>
#include <cstddef>
#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/os/mutex.h"
#include "snapshotter/layer/byte_stream.h"

namespace berth::layer {

class BlockQueue {
 public:
  static constexpr size_t kBlocks = 8;
  static constexpr size_t kBlockBytes = 256 * 1024;

  BlockQueue();

  // Producer. Copies the stream `source` into the queue until its end, hands each block to
  // `on_block` first, and ends the queue. Errors: those of `source`; CANCELLED after Abandon.
  // Blocks.
  template <typename OnBlock>
  absl::Status Pump(ByteSource& source, OnBlock on_block);

  // Consumer. The next block, empty at the end; valid until the next call. Errors: the producer's.
  // Blocks.
  absl::StatusOr<absl::string_view> Next();
  // Consumer. Nothing more will be read; the producer stops at its next block.
  void Abandon();

 private:
  struct Block {
    std::unique_ptr<char[]> bytes;
    size_t size = 0;
  };
  // The block to fill, nullptr after Abandon.
  Block* TakeFree();
  void PushFilled();
  void Finish(absl::Status status);

  Mutex mutex_;
  std::array<Block, kBlocks> ring_;             // a block belongs to the side the counters say
  size_t filled_ ABSL_GUARDED_BY(mutex_) = 0;   // blocks ever filled
  size_t emptied_ ABSL_GUARDED_BY(mutex_) = 0;  // blocks ever given back
  bool lent_ ABSL_GUARDED_BY(mutex_) = false;   // the consumer holds block `emptied_`
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
  bool abandoned_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status end_ ABSL_GUARDED_BY(mutex_);
};

template <typename OnBlock>
absl::Status BlockQueue::Pump(ByteSource& source, OnBlock on_block) {
  for (;;) {
    Block* const block = TakeFree();
    if (block == nullptr) return absl::CancelledError("the reader of the stream stopped");
    const absl::StatusOr<size_t> got = source.Read(block->bytes.get(), kBlockBytes);
    if (!got.ok() || *got == 0) {
      Finish(got.status());
      return got.status();
    }
    block->size = *got;
    on_block(absl::string_view(block->bytes.get(), block->size));
    PushFilled();
  }
}

}  // namespace berth::layer

#endif  // BERTH_SNAPSHOTTER_LAYER_BLOCK_QUEUE_H_
