#include "server/worker/fetch_jobs.h"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/digest/digest.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "base/status/status_macros.h"
#include "proto/berth/worker/v1/worker.pb.h"
#include "server/registry/fetch.h"
#include "server/registry/manifest.h"
#include "server/registry/origin.h"
#include "server/registry/push.h"
#include "server/registry/resolve.h"
#include "server/registry/session.h"
#include "server/worker/confinement.h"

namespace berth::worker {
namespace {

// Ends the slot's job however it ends.
class SlotGuard {
 public:
  SlotGuard(ProgressTable& table, uint32_t slot) : table_(table), slot_(slot) {}
  ~SlotGuard() { table_.End(slot_, state_); }
  void Succeed() { state_ = ProgressState::kDone; }

 private:
  ProgressTable& table_;
  const uint32_t slot_;
  ProgressState state_ = ProgressState::kFailed;
};

class Jobs final : public FetchJobs {
 public:
  Jobs(const StoreDirectory& store, ProgressTable& progress) : store_(store), progress_(progress) {}

  void RegisterAll(JobServer& jobs) {
    using Cancelled = const std::atomic<bool>&;
    jobs.Register<v1::ResolveRequest>("Resolve", [this](const auto& request, Cancelled cancelled) {
      return registry::Resolve(request, {session_, cancelled});
    });
    jobs.Register<v1::FetchRequest>("Fetch", [this](const auto& request, Cancelled cancelled) {
      return Fetch(request, cancelled);
    });
    jobs.Register<v1::PushRequest>("Push", [this](const auto& request, Cancelled cancelled) {
      return Push(request, cancelled);
    });
    jobs.Register<v1::PushManifestRequest>("PushManifest",
                                           [this](const auto& request, Cancelled cancelled) {
                                             return PushManifest(request, cancelled);
                                           });
    jobs.Register<v1::ReferrersRequest>(
        "Referrers", [this](const auto& request, Cancelled cancelled) {
          return registry::Referrers(request, {session_, cancelled});
        });
    jobs.Register<v1::TagsRequest>("Tags", [this](const auto& request, Cancelled cancelled) {
      return registry::Tags(request, {session_, cancelled});
    });
    jobs.Register<v1::CheckLoginRequest>(
        "CheckLogin", [this](const auto& request, Cancelled cancelled) {
          return registry::CheckLogin(request, {session_, cancelled});
        });
  }

 private:
  absl::StatusOr<v1::FetchResponse> Fetch(const v1::FetchRequest& request,
                                          const std::atomic<bool>& cancelled) {
    const uint32_t slot = request.slot();
    SlotGuard guard(progress_, slot);
    BERTH_ASSIGN_OR_RETURN(UniqueFd upload, store_.OpenUploadForAppending(request.upload()),
                           _ << "open the upload");
    bool is_void = false;  // a follower that read what was thrown away has to hear of it
    registry::UploadObserver observer;
    observer.on_progress = [&](uint64_t offset, uint64_t total) {
      if (!is_void) progress_.Advance(slot, offset, total);
    };
    observer.on_restart = [&] {
      is_void = true;
      progress_.End(slot, ProgressState::kFailed);
    };
    BERTH_ASSIGN_OR_RETURN(
        v1::FetchResponse response,
        registry::Fetch(request, std::move(upload), std::move(observer), {session_, cancelled}));
    if (!is_void) guard.Succeed();
    return response;
  }

  absl::StatusOr<v1::PushResponse> Push(const v1::PushRequest& request,
                                        const std::atomic<bool>& cancelled) {
    SlotGuard guard(progress_, request.slot());
    BERTH_ASSIGN_OR_RETURN(const Digest digest, Digest::Parse(request.target().digest()));
    BERTH_ASSIGN_OR_RETURN(const UniqueFd blob, store_.OpenBlob(digest));
    const auto on_progress = [&](uint64_t sent, uint64_t total) {
      progress_.Advance(request.slot(), sent, total);
    };
    BERTH_ASSIGN_OR_RETURN(v1::PushResponse response,
                           registry::Push(request, blob, {session_, cancelled}, on_progress));
    guard.Succeed();
    return response;
  }

  absl::StatusOr<v1::PushManifestResponse> PushManifest(const v1::PushManifestRequest& request,
                                                        const std::atomic<bool>& cancelled) {
    BERTH_ASSIGN_OR_RETURN(const Digest digest, Digest::Parse(request.target().digest()));
    BERTH_ASSIGN_OR_RETURN(const UniqueFd blob, store_.OpenBlob(digest));
    BERTH_ASSIGN_OR_RETURN(const std::string bytes, ReadAll(blob, registry::kMaxManifestBytes),
                           _ << digest.text());
    return registry::PushManifest(request, bytes, {session_, cancelled});
  }

  const StoreDirectory& store_;
  ProgressTable& progress_;
  registry::Session session_;
};

}  // namespace

std::unique_ptr<FetchJobs> FetchJobs::Register(JobServer& jobs, const StoreDirectory& store,
                                               ProgressTable& progress) {
  auto made = std::make_unique<Jobs>(store, progress);
  made->RegisterAll(jobs);
  return made;
}

absl::Status ConfineFetching(const StoreDirectory& store) {
  // Names (resolv.conf may be a link into /run), certificates, and what libc loads for names.
  std::vector<UniqueFd> held;
  Reach reach;
  reach.network = Reach::Network::kOutgoing;
  for (const char* path : {"/etc", "/run/systemd/resolve", "/run/resolvconf", "/run/NetworkManager",
                           "/usr/lib", "/lib", "/usr/share/ca-certificates",
                           "/usr/local/share/ca-certificates", "/etc/ssl", "/usr/lib/ssl"}) {
    absl::StatusOr<UniqueFd> directory = OpenFile(path, O_RDONLY | O_DIRECTORY);
    if (!directory.ok()) continue;
    held.push_back(*std::move(directory));
    reach.readable.push_back(held.back());
  }
  BERTH_ASSIGN_OR_RETURN(const UniqueFd blobs, OpenAt(store.fd(), "blobs", O_RDONLY | O_DIRECTORY));
  BERTH_ASSIGN_OR_RETURN(const UniqueFd ingest,
                         OpenAt(store.fd(), "ingest", O_RDONLY | O_DIRECTORY));
  reach.readable.push_back(blobs);
  reach.writable.push_back(ingest);
  return Confine(reach);
}

}  // namespace berth::worker
