#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/strings/str_cat.h"
#include "base/os/fd_factories.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"
#include "server/worker/confinement.h"
#include "server/worker/detached_mount.h"
#include "server/worker/jobs.h"
#include "server/worker/mount_plan.h"
#include "server/worker/mounts_of.h"
#include "snapshotter/layer/compress.h"
#include "snapshotter/layer/hashing_stream.h"
#include "snapshotter/layer/overlay_diff.h"
#include "snapshotter/layer/tar_writer.h"
#include "snapshotter/layer/tree_diff.h"

namespace berth::worker {
namespace {

absl::StatusOr<layer::Compression> CompressionOf(absl::string_view media_type) {
  if (media_type == "application/vnd.oci.image.layer.v1.tar" ||
      media_type == "application/vnd.docker.image.rootfs.diff.tar") {
    return layer::Compression::kNone;
  }
  if (media_type == "application/vnd.oci.image.layer.v1.tar+gzip" ||
      media_type == "application/vnd.docker.image.rootfs.diff.tar.gzip") {
    return layer::Compression::kGzip;
  }
  if (media_type == "application/vnd.oci.image.layer.v1.tar+zstd" ||
      media_type == "application/vnd.docker.image.rootfs.diff.tar.zstd") {
    return layer::Compression::kZstd;
  }
  return absl::UnimplementedError(
      absl::StrCat("unsupported diff media type: ", media_type,
                   "; known are the tar, gzip and zstd layers of OCI and Docker"));
}

// The layer as it goes into the upload.
class LayerOutput {
 public:
  LayerOutput(BorrowedFd upload, layer::Compression compression, const layer::DiffOptions& options)
      : file_(upload),
        compressor_(layer::OpenCompressed(compression, file_)),
        plain_(*compressor_),
        tar_(plain_),
        stream_(tar_, options) {}

  layer::LayerStream& stream() { return stream_; }
  absl::StatusOr<v1::DiffResponse> Finish() {
    BERTH_RETURN_IF_ERROR(tar_.Finish());
    BERTH_RETURN_IF_ERROR(compressor_->Finish());
    v1::DiffResponse response;
    response.set_digest(file_.Current().text());
    response.set_size(static_cast<int64_t>(file_.bytes_written()));
    response.set_uncompressed_digest(plain_.Current().text());
    return response;
  }

 private:
  layer::HashingFileSink file_;
  const std::unique_ptr<layer::CompressingSink> compressor_;
  layer::HashingSink plain_;
  layer::TarWriter tar_;
  layer::LayerStream stream_;
};

absl::StatusOr<UniqueFd> OpenTree(const MountPlan& plan, const std::vector<MountSpec>& mounts,
                                  const StoreDirectory& store) {
  switch (plan.kind) {
    case MountPlan::Kind::kEmpty:
      return UniqueFd();
    case MountPlan::Kind::kBind:
      return OpenFile(plan.layers[0], O_RDONLY | O_DIRECTORY);
    case MountPlan::Kind::kOverlay:
      if (plan.layers.size() == 1) return OpenFile(plan.layers[0], O_RDONLY | O_DIRECTORY);
      return MountOverlay(plan.layers, plan.marks, store.fd());
    case MountPlan::Kind::kOther:
      return MountOther(mounts[0]);
  }
  return absl::InternalError("unknown kind of mount");
}

// Runs `work` on a thread that can reach nothing but `readable`.
absl::StatusOr<v1::DiffResponse> RunConfined(
    std::vector<BorrowedFd> readable, absl::FunctionRef<absl::StatusOr<v1::DiffResponse>()> work) {
  absl::StatusOr<v1::DiffResponse> result = absl::UnknownError("the thread did not run");
  std::thread thread([&] {
    const absl::Status confined = Confine({std::move(readable), {}});
    result = confined.ok() ? work() : Annotate(confined, "confine the worker");
  });
  thread.join();
  return result;
}

// The one layer that lies on top, as it is.
absl::StatusOr<v1::DiffResponse> DiffByLayer(const MountPlan& left, const MountPlan& right,
                                             BorrowedFd upload, layer::Compression compression,
                                             const layer::DiffOptions& options) {
  BERTH_ASSIGN_OR_RETURN(const UniqueFd top, OpenFile(right.layers[0], O_RDONLY | O_DIRECTORY));
  std::vector<BorrowedFd> readable = {top};
  std::vector<UniqueFd> below;
  for (const std::string& lower : left.layers) {
    BERTH_ASSIGN_OR_RETURN(UniqueFd fd, OpenFile(lower, O_RDONLY | O_DIRECTORY));
    readable.push_back(fd);
    below.push_back(std::move(fd));
  }
  return RunConfined(std::move(readable), [&]() -> absl::StatusOr<v1::DiffResponse> {
    LayerOutput output(upload, compression, options);
    BERTH_RETURN_IF_ERROR(layer::WriteOverlayDiff(top, below, output.stream()));
    return output.Finish();
  });
}

absl::StatusOr<v1::DiffResponse> DiffByComparison(BorrowedFd older, BorrowedFd newer,
                                                  BorrowedFd upload, layer::Compression compression,
                                                  const layer::DiffOptions& options) {
  std::vector<BorrowedFd> readable = {newer};
  if (older.valid()) readable.push_back(older);
  return RunConfined(std::move(readable), [&]() -> absl::StatusOr<v1::DiffResponse> {
    LayerOutput output(upload, compression, options);
    BERTH_RETURN_IF_ERROR(layer::WriteTreeDiff(older, newer, output.stream()));
    return output.Finish();
  });
}

}  // namespace

absl::StatusOr<v1::DiffResponse> RunDiff(const v1::DiffRequest& request,
                                         const StoreDirectory& store,
                                         const std::atomic<bool>& cancelled) {
  BERTH_ASSIGN_OR_RETURN(const layer::Compression compression, CompressionOf(request.media_type()));
  BERTH_ASSIGN_OR_RETURN(const UniqueFd upload, store.OpenUpload(request.upload()));
  const std::vector<MountSpec> left_mounts = MountsOf(request.left());
  const std::vector<MountSpec> right_mounts = MountsOf(request.right());
  BERTH_ASSIGN_OR_RETURN(const MountPlan left, PlanMounts(left_mounts), _ << "the older tree");
  BERTH_ASSIGN_OR_RETURN(const MountPlan right, PlanMounts(right_mounts), _ << "the newer tree");
  if (right.kind == MountPlan::Kind::kEmpty) {
    return absl::InvalidArgumentError("there are no mounts of the newer tree");
  }
  layer::DiffOptions options;
  options.cancelled = &cancelled;
  if (request.has_source_date_epoch()) {
    options.latest_time = absl::FromUnixSeconds(request.source_date_epoch().seconds()) +
                          absl::Nanoseconds(request.source_date_epoch().nanos());
  }

  if (IsOneLayerAbove(left, right)) {
    absl::StatusOr<v1::DiffResponse> response =
        DiffByLayer(left, right, upload, compression, options);
    if (!absl::IsAborted(response.status())) return response;
    // Begin again, the other way.
    if (::ftruncate(upload.get(), 0) != 0 || ::lseek(upload.get(), 0, SEEK_SET) != 0) {
      return ErrnoStatus(errno, "ftruncate", request.upload());
    }
  }
  BERTH_ASSIGN_OR_RETURN(const UniqueFd older, OpenTree(left, left_mounts, store),
                         _ << "open the older tree");
  BERTH_ASSIGN_OR_RETURN(const UniqueFd newer, OpenTree(right, right_mounts, store),
                         _ << "open the newer tree");
  return DiffByComparison(older, newer, upload, compression, options);
}

}  // namespace berth::worker
