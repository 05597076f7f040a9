#include "server/image/transfer_progress.h"

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "proto/containerd/types/transfer/progress.pb.h"

namespace berth::image {
namespace {

constexpr absl::Duration kInterval = absl::Milliseconds(100);
constexpr size_t kMaxQueued = 256;

}  // namespace

std::string ProgressName(const Descriptor& descriptor) {
  const std::string& type = descriptor.media_type();
  const char* kind = "unknown";
  if (IsIndexType(type)) {
    kind = "index";
  } else if (IsManifestType(type)) {
    kind = "manifest";
  } else if (IsLayerType(type)) {
    kind = "layer";
  } else if (type == kOciConfig || type == kDockerConfig) {
    kind = "config";
  }
  return absl::StrCat(kind, "-", descriptor.digest());
}

void ProgressReporter::Report(const TransferProgress& progress) {
  {
    MutexLock lock(&mutex_);
    const absl::Time now = absl::Now();
    Last& last = last_[progress.name];
    const bool is_more_of_same = !progress.name.empty() && last.event == progress.event;
    if (is_more_of_same && (now - last.at < kInterval || stream_->queued() > kMaxQueued / 2)) {
      return;
    }
    if (stream_->queued() > kMaxQueued) return;
    last = {progress.event, now};
  }
  containerd::types::transfer::Progress message;
  message.set_event(progress.event);
  message.set_name(progress.name);
  if (!progress.parent.empty()) message.add_parents(progress.parent);
  message.set_progress(progress.done_bytes);
  message.set_total(progress.total_bytes);
  if (!progress.descriptor.digest().empty()) *message.mutable_desc() = progress.descriptor;
  stream_->Write(PackAny(message), [](bool) {});
}

}  // namespace berth::image
