// One push: the blobs side by side, then the manifests from the bottom up, the name last.
//
// Invariant: all state belongs to the run's strand; a manifest is sent when everything it names is
// there; `done` runs once, when no job of the run is left. Owned by itself while it runs.
#ifndef BERTH_SERVER_IMAGE_PUSH_RUN_H_
#define BERTH_SERVER_IMAGE_PUSH_RUN_H_

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/reference/reference.h"
#include "proto/berth/worker/v1/worker.pb.h"
#include "server/image/image_puller.h"
#include "server/image/strand.h"
#include "server/worker/client/worker_client.h"

namespace berth::image {

class PushRun : public std::enable_shared_from_this<PushRun> {
 public:
  PushRun(const ImagePuller::Parts& parts, metadata::Caller caller, PushRequest request,
          OnProgress on_progress, ImagePuller::PushDone done);
  void Start();
  void Cancel();

 private:
  struct Upload {
    Descriptor descriptor;
    std::string parent;
    uint64_t job = 0;
    std::shared_ptr<worker::ProgressSlot> slot;
  };

  template <typename Function>
  void Post(Function step) {
    strand_->Post([self = shared_from_this(), step = std::move(step)]() mutable { step(*self); });
  }

  void Begin();
  absl::Status Prepare();
  absl::Status ChooseTarget(const ImageRecord& record);
  // Gathers blobs and manifests below `target`. NOT_FOUND when some are not here.
  absl::Status Gather(const Descriptor& target, const std::string& parent, int depth);
  absl::Status GatherBlob(const Descriptor& blob, const std::string& parent);
  void StartUpload(Upload& upload);
  void OnUploaded(std::string digest, absl::StatusOr<worker::v1::PushResponse> response);
  void NextManifest();
  void OnManifest(absl::StatusOr<worker::v1::PushManifestResponse> response);
  std::vector<std::string> MountSources(const std::string& digest);
  void Fail(const absl::Status& status);
  void MaybeFinish();
  void Tell(const Descriptor& descriptor, const std::string& parent, const char* event,
            int64_t done_bytes);
  void Say(std::string words);
  void Tick();

  const ImagePuller::Parts parts_;
  const std::shared_ptr<Strand> strand_;
  const metadata::Caller caller_;
  const PushRequest request_;
  const OnProgress on_progress_;
  ImagePuller::PushDone done_;

  std::optional<Reference> reference_;
  worker::v1::Origin origin_;
  Descriptor target_;
  std::map<std::string, Upload> uploads_;                     // under way, by digest
  std::vector<std::pair<Descriptor, std::string>> blobs_;     // with their parents
  std::deque<std::pair<Descriptor, std::string>> manifests_;  // children before parents
  std::set<std::string> gathered_;
  uint64_t manifest_job_ = 0;
  bool is_sending_manifest_ = false;
  absl::Status status_;
};

}  // namespace berth::image

#endif  // BERTH_SERVER_IMAGE_PUSH_RUN_H_
