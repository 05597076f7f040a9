#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/os/fd_factories.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"
#include "server/worker/confinement.h"
#include "server/worker/follow_source.h"
#include "server/worker/jobs.h"
#include "server/worker/mount_plan.h"
#include "server/worker/mounts_of.h"
#include "snapshotter/erofs/layer_image.h"
#include "snapshotter/layer/apply.h"
#include "snapshotter/layer/entry_sink.h"
#include "snapshotter/layer/tree_writer.h"

namespace berth::worker {
namespace {

absl::StatusOr<UniqueFd> OpenLayer(const std::string& path) {
  return OpenFile(path, O_RDONLY | O_DIRECTORY);
}

absl::StatusOr<MountPlan> PlanApply(const v1::ApplyRequest& request) {
  BERTH_ASSIGN_OR_RETURN(MountPlan plan, PlanMounts(MountsOf(request.mounts())));
  switch (plan.kind) {
    case MountPlan::Kind::kEmpty:
      return absl::InvalidArgumentError("there are no mounts to unpack the layer into");
    case MountPlan::Kind::kOther:
      return absl::UnimplementedError(
          absl::StrCat("unpacking into a mount of type \"", request.mounts(0).type(),
                       "\" is not supported; use the overlayfs or native snapshotter"));
    case MountPlan::Kind::kBind:
    case MountPlan::Kind::kOverlay:
      break;
  }
  if (plan.access != MountPlan::Access::kWritable) {
    return absl::FailedPreconditionError(
        "the mounts are read-only; unpack into those of a prepared snapshot, not of a view");
  }
  return plan;
}

layer::WhiteoutStyle StyleOf(const MountPlan& plan, v1::ApplyRequest::Marks standalone) {
  if (standalone == v1::ApplyRequest::TRUSTED) return layer::WhiteoutStyle::kOverlay;
  if (standalone == v1::ApplyRequest::USER) return layer::WhiteoutStyle::kOverlayUserXattr;
  if (plan.kind == MountPlan::Kind::kBind) return layer::WhiteoutStyle::kDelete;
  return plan.marks == MountPlan::Marks::kUser ? layer::WhiteoutStyle::kOverlayUserXattr
                                               : layer::WhiteoutStyle::kOverlay;
}

// `content`: the directory that the image is to show, beside which it lies.
absl::StatusOr<UniqueFd> OpenImage(const std::string& content, const std::string& name) {
  if (absl::StrContains(name, '/')) {
    return absl::InvalidArgumentError("the name of the image is no name of a file");
  }
  return OpenFile(absl::StrCat(content.substr(0, content.rfind('/') + 1), name),
                  O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600);
}

std::unique_ptr<layer::EntrySink> MakeSink(const v1::ApplyRequest& request, const MountPlan& plan,
                                           UniqueFd root, BorrowedFd image,
                                           std::vector<UniqueFd> lowers) {
  const layer::Below below = request.standalone() == v1::ApplyRequest::NONE
                                 ? layer::Below::kShown
                                 : layer::Below::kUnknown;
  if (image.valid()) {
    return std::make_unique<erofs::LayerImage>(image, std::move(lowers), below);
  }
  return std::make_unique<layer::TreeWriter>(std::move(root), StyleOf(plan, request.standalone()),
                                             std::move(lowers), below);
}

}  // namespace

absl::StatusOr<v1::ApplyResponse> RunApply(const v1::ApplyRequest& request,
                                           const StoreDirectory& store, ProgressTable& progress,
                                           const std::atomic<bool>& cancelled) {
  BERTH_RETURN_IF_ERROR(layer::CheckLayerMediaType(request.media_type()));
  BERTH_ASSIGN_OR_RETURN(const Digest digest, Digest::Parse(request.digest()));
  BERTH_ASSIGN_OR_RETURN(const MountPlan plan, PlanApply(request));
  const bool follows = request.has_follow();
  BERTH_ASSIGN_OR_RETURN(
      const UniqueFd bytes,
      follows ? store.OpenUploadForReading(request.follow().upload()) : store.OpenBlob(digest));
  BERTH_ASSIGN_OR_RETURN(UniqueFd root, OpenLayer(plan.layers[0]), _ << "open the snapshot");
  std::vector<UniqueFd> lowers;
  Reach reach;
  for (size_t i = 1; i < plan.layers.size(); ++i) {
    BERTH_ASSIGN_OR_RETURN(UniqueFd lower, OpenLayer(plan.layers[i]),
                           _ << "open a layer below the snapshot");
    reach.readable.push_back(lower);
    lowers.push_back(std::move(lower));
  }
  UniqueFd image;
  if (request.erofs_image().empty()) {
    reach.writable.push_back(root);
  } else {
    // Open before the thread is confined: nothing else is written then.
    BERTH_ASSIGN_OR_RETURN(image, OpenImage(plan.layers[0], request.erofs_image()));
  }
  BERTH_RETURN_IF_ERROR(Confine(reach)) << "confine the worker";

  const BorrowedFd written = image.valid() ? BorrowedFd(image) : BorrowedFd(root);
  const std::unique_ptr<layer::EntrySink> sink =
      MakeSink(request, plan, std::move(root), image, std::move(lowers));
  layer::ApplyOptions options;
  options.cancelled = &cancelled;
  if (!follows) options.expected = digest;
  FollowSource followed(bytes, progress, request.follow().slot(), cancelled);
  const absl::StatusOr<layer::ApplyResult> result =
      follows ? layer::ApplyStream(followed, options, *sink)
              : layer::ApplyLayer(bytes, options, *sink);
  v1::ApplyResponse response;
  if (sink->needs_parent()) {
    response.set_needs_parent(true);
    return response;
  }
  BERTH_RETURN_IF_ERROR(result.status()) << "unpack " << digest.text();
  if (request.sync() && ::syncfs(written.get()) != 0) {
    return ErrnoStatus(errno, "syncfs", plan.layers[0]);
  }
  response.set_digest(result->diff_id.text());
  response.set_size(static_cast<int64_t>(result->size_bytes));
  return response;
}

}  // namespace berth::worker
