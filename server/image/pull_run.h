// One pull: documents first, then configs and layers side by side, unpacking as they come, the
// record last.
//
// Invariant: all state belongs to the run's strand; `done` runs once, when no fetch and no
// unpacking of the run is left. A fetch that failed leaves its upload, unless the bytes were wrong.
// Owned by itself while it runs.
#ifndef BERTH_SERVER_IMAGE_PULL_RUN_H_
#define BERTH_SERVER_IMAGE_PULL_RUN_H_

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
#include "server/content/ingest_writer.h"
#include "server/image/image_puller.h"
#include "server/image/layer_gate.h"
#include "server/image/single_flight.h"
#include "server/image/strand.h"
#include "server/image/work_lease.h"
#include "server/worker/client/worker_client.h"

namespace berth::image {

class PullRun : public std::enable_shared_from_this<PullRun> {
 public:
  PullRun(const ImagePuller::Parts& parts, std::shared_ptr<SingleFlight> flights,
          metadata::Caller caller, PullRequest request, OnProgress on_progress,
          ImagePuller::PullDone done);
  void Start();
  void Cancel();

 private:
  // A blob on its way.
  struct Fetch {
    Descriptor descriptor;
    std::string parent;  // progress name
    std::optional<Platform> platform;
    int depth = 0;  // of a document
    bool is_claimed = false;
    uint64_t job = 0;
    std::unique_ptr<content::IngestWriter> upload;
    std::shared_ptr<worker::ProgressSlot> slot;
  };
  using FetchPtr = std::shared_ptr<Fetch>;

  // Runs `step` on the strand.
  template <typename Function>
  void Post(Function step) {
    strand_->Post([self = shared_from_this(), step = std::move(step)]() mutable { step(*self); });
  }

  void Begin();
  absl::Status Prepare();
  void OnResolved(absl::StatusOr<worker::v1::ResolveResponse> response);
  absl::Status TakeRoot(const worker::v1::ResolveResponse& response);

  // Brings the blob here, once in the daemon, and calls OnHere.
  void Want(const Descriptor& descriptor, std::string parent, std::optional<Platform> platform,
            int depth);
  void Acquire(FetchPtr fetch);
  absl::Status StartFetch(const FetchPtr& fetch);
  void OnFetched(FetchPtr fetch, absl::StatusOr<worker::v1::FetchResponse> response);
  absl::Status CommitFetch(Fetch& fetch);
  void OnHere(FetchPtr fetch, const char* event);
  void EndFetch(const FetchPtr& fetch);

  absl::Status TakeDocument(const Fetch& fetch);
  absl::Status TakeIndex(const Fetch& fetch, const std::string& json);
  absl::Status TakeManifest(const Fetch& fetch, const std::string& json);
  // Begins to unpack, once the config says what the layers are.
  absl::Status TakeConfig(const Fetch& fetch);
  bool IsUnpackedElsewhere(const Descriptor& manifest);

  void Fail(const absl::Status& status);
  void MaybeFinish();
  absl::StatusOr<ImageRecord> PutRecords();
  void Tell(const Fetch& fetch, const char* event, int64_t done_bytes);
  void Say(std::string words);
  void Tick();

  const ImagePuller::Parts parts_;
  const std::shared_ptr<SingleFlight> flights_;
  const std::shared_ptr<Strand> strand_;
  const metadata::Caller original_caller_;
  const PullRequest request_;
  const OnProgress on_progress_;
  ImagePuller::PullDone done_;

  std::optional<Reference> reference_;
  worker::v1::Origin origin_;
  std::unique_ptr<WorkLease> lease_;
  uint64_t resolve_job_ = 0;
  bool is_resolving_ = false;
  Descriptor target_;
  std::map<std::string, FetchPtr> running_;         // by digest
  std::set<std::string> wanted_;                    // digests ever asked for
  std::set<std::string> bare_;                      // manifests whose layers are not wanted
  std::set<std::string> here_;                      // those of them that came
  std::map<std::string, ImageManifest> manifests_;  // by config digest
  std::map<std::string, Descriptor> manifest_of_;   // by config digest
  std::vector<std::shared_ptr<LayerGate>> gates_;
  int unpacking_ = 0;
  absl::Status status_;
};

}  // namespace berth::image

#endif  // BERTH_SERVER_IMAGE_PULL_RUN_H_
