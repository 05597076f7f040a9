#include "snapshotter/layer/apply.h"

#include <atomic>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/digest/hasher.h"
#include "base/status/status_macros.h"
#include "snapshotter/layer/archive_reader.h"
#include "snapshotter/layer/block_queue.h"
#include "snapshotter/layer/decompress.h"
#include "snapshotter/layer/hashing_stream.h"

namespace berth::layer {
namespace {

constexpr size_t kDrainBytes = 256 * 1024;

// What the reading thread does and finds out.
class Producer {
 public:
  Producer(ByteSource& bytes, const ApplyOptions& options) : options_(options), bytes_(&bytes) {
    if (!options.expected.has_value()) return;
    hashed_.emplace(bytes, options.expected->algorithm());
    bytes_ = &*hashed_;
  }

  void Run(BlockQueue& queue) {
    // Opening happens inside Pump's first read, so that its error reaches the queue.
    LazySource source(*this);
    (void)queue.Pump(source, [this](absl::string_view block) {  // the consumer reports the error
      plain_.Update(block);
      plain_bytes_ += block.size();
    });
    // Whatever went wrong with the archive, the verdict on the blob needs its last byte.
    if (!IsCancelled() && !is_undone_.load(std::memory_order_relaxed)) drained_ = Drain();
  }

  // The work will be done again: the blob's verdict is that one's business.
  void Undo() { is_undone_.store(true, std::memory_order_relaxed); }

  // Requires: Run() has ended.
  absl::Status CheckBlob() const {
    BERTH_RETURN_IF_ERROR(drained_) << "read the blob";
    if (!hashed_.has_value() || hashed_->Current() == *options_.expected) return absl::OkStatus();
    return absl::DataLossError(absl::StrCat(
        "the blob ", options_.expected->text(), " is corrupt on disk: its ", hashed_->bytes_read(),
        " bytes hash to ", hashed_->Current().text(), "; pull or import the image again"));
  }
  ApplyResult result() const { return {plain_.Current(), plain_bytes_}; }

 private:
  class LazySource final : public ByteSource {
   public:
    explicit LazySource(Producer& owner) : owner_(owner) {}
    absl::StatusOr<size_t> Read(char* buffer, size_t capacity) override {
      if (owner_.IsCancelled()) return absl::CancelledError("the unpacking was cancelled");
      if (source_ == nullptr) {
        BERTH_ASSIGN_OR_RETURN(source_, OpenDecompressed(*owner_.bytes_));
      }
      return source_->Read(buffer, capacity);
    }

   private:
    Producer& owner_;
    std::unique_ptr<ByteSource> source_;
  };

  absl::Status Drain() {
    std::vector<char> buffer(kDrainBytes);
    for (;;) {
      BERTH_ASSIGN_OR_RETURN(const size_t got, bytes_->Read(buffer.data(), buffer.size()));
      if (got == 0) return absl::OkStatus();
      if (IsCancelled()) return absl::CancelledError("the unpacking was cancelled");
      if (is_undone_.load(std::memory_order_relaxed)) return absl::OkStatus();
    }
  }

  bool IsCancelled() const {
    return options_.cancelled != nullptr && options_.cancelled->load(std::memory_order_relaxed);
  }

  const ApplyOptions& options_;
  std::atomic<bool> is_undone_{false};
  ByteSource* bytes_;
  std::optional<HashingSource> hashed_;
  Hasher plain_;
  uint64_t plain_bytes_ = 0;
  absl::Status drained_;
};

absl::Status Unpack(BlockQueue& queue, EntrySink& sink) {
  BERTH_ASSIGN_OR_RETURN(const std::unique_ptr<ArchiveReader> reader, ArchiveReader::Open(queue));
  Entry entry;
  for (;;) {
    BERTH_ASSIGN_OR_RETURN(const bool more, reader->Next(entry));
    if (!more) break;
    BERTH_RETURN_IF_ERROR(sink.Add(
        entry, [&](BorrowedFd file, int64_t begin) { return reader->WriteData(file, begin); }));
  }
  BERTH_RETURN_IF_ERROR(sink.Finish());
  // The archive's end may be followed by padding, which the diffID covers.
  for (;;) {
    BERTH_ASSIGN_OR_RETURN(const absl::string_view rest, queue.Next());
    if (rest.empty()) return absl::OkStatus();
  }
}

}  // namespace

absl::Status CheckLayerMediaType(absl::string_view media_type) {
  if (absl::StrContains(media_type, "+encrypted")) {
    return absl::UnimplementedError(
        absl::StrCat("layer media type \"", media_type,
                     "\" is encrypted, which is not supported; decrypt the image first"));
  }
  constexpr absl::string_view kKnown[] = {
      "application/vnd.oci.image.layer.v1.tar",
      "application/vnd.oci.image.layer.nondistributable.v1.tar",
      "application/vnd.docker.image.rootfs.diff.tar",
      "application/vnd.docker.image.rootfs.foreign.diff.tar",
  };
  for (absl::string_view known : kKnown) {
    absl::string_view rest = media_type;
    if (!absl::ConsumePrefix(&rest, known)) continue;
    if (rest.empty() || rest == "+gzip" || rest == "+zstd" || rest == ".gzip" || rest == ".zstd") {
      return absl::OkStatus();
    }
  }
  return absl::UnimplementedError(
      absl::StrCat("media type \"", media_type,
                   "\" is no layer that can be unpacked; known are tar, gzip and zstd layers of "
                   "OCI and Docker"));
}

absl::StatusOr<ApplyResult> ApplyLayer(BorrowedFd blob, const ApplyOptions& options,
                                       EntrySink& sink) {
  FileSource file(blob);
  return ApplyStream(file, options, sink);
}

absl::StatusOr<ApplyResult> ApplyStream(ByteSource& bytes, const ApplyOptions& options,
                                        EntrySink& sink) {
  BlockQueue queue;
  Producer producer(bytes, options);
  std::thread thread([&] { producer.Run(queue); });
  const absl::Status unpacked = Unpack(queue, sink);
  if (sink.needs_parent()) producer.Undo();
  queue.Abandon();
  thread.join();
  if (options.cancelled != nullptr && options.cancelled->load()) {
    return absl::CancelledError("the unpacking was cancelled");
  }
  if (sink.needs_parent()) return unpacked;
  BERTH_RETURN_IF_ERROR(producer.CheckBlob());
  BERTH_RETURN_IF_ERROR(unpacked);
  return producer.result();
}

}  // namespace berth::layer
