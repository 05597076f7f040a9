// What is told of a transfer while it runs, and to whom.
//
// Invariant: of one blob at most ten updates a second are sent, the last one always; a client that
// does not read loses updates and delays nothing. Thread-safe; shared by the steps of a transfer.
#ifndef BERTH_SERVER_IMAGE_TRANSFER_PROGRESS_H_
#define BERTH_SERVER_IMAGE_TRANSFER_PROGRESS_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/os/mutex.h"
#include "server/image/image_document.h"
#include "server/image/message_stream.h"

namespace berth::image {

// `event`: "resolving", "waiting", "downloading", "already exists", "complete", "extracting",
// "extracted", "uploading", "mounted", "saved", or words for people when `name` is empty.
struct TransferProgress {
  std::string event;
  std::string name;    // of the blob ("layer-sha256:..."), or of the image
  std::string parent;  // the name of what refers to it; empty for the root
  int64_t done_bytes = 0;
  int64_t total_bytes = 0;  // 0: unknown
  Descriptor descriptor{};
};
// Called from any thread; must not block.
using OnProgress = std::function<void(const TransferProgress&)>;

// The name under which a blob's progress is told: its kind and its digest.
std::string ProgressName(const Descriptor& descriptor);

// Sends progress over a stream, as containerd.types.transfer.Progress.
class ProgressReporter {
 public:
  explicit ProgressReporter(std::shared_ptr<MessageStream> stream) : stream_(std::move(stream)) {}
  void Report(const TransferProgress& progress) ABSL_LOCKS_EXCLUDED(mutex_);
  void Close() { stream_->Close(absl::OkStatus()); }

 private:
  struct Last {
    std::string event;
    absl::Time at;
  };
  const std::shared_ptr<MessageStream> stream_;
  Mutex mutex_;
  absl::flat_hash_map<std::string, Last> last_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace berth::image

#endif  // BERTH_SERVER_IMAGE_TRANSFER_PROGRESS_H_
