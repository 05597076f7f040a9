#include "client/sdk/image_unpack.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "base/status/status_macros.h"
#include "client/sdk/content_client.h"
#include "client/sdk/random_id.h"
#include "client/sdk/snapshot_client.h"

namespace berth::client {
namespace {

struct Layer {
  Descriptor blob;
  std::string diff_id;
  std::string chain_id;
  std::string parent_chain_id;
};

absl::Status ApplyAndCommit(const ContentClient& content, const SnapshotClient& snapshots,
                            const Layer& layer, absl::string_view key, const Mounts& mounts) {
  BERTH_ASSIGN_OR_RETURN(const Descriptor applied, snapshots.Apply(layer.blob, mounts),
                         _ << "apply layer " << layer.blob.digest());
  if (applied.digest() != layer.diff_id) {
    return absl::DataLossError(absl::StrCat("layer ", layer.blob.digest(), " holds ",
                                            applied.digest(), ", the image's config promises ",
                                            layer.diff_id));
  }
  if (layer.blob.digest() != layer.diff_id) {
    BERTH_RETURN_IF_ERROR(
        content.SetLabels(layer.blob.digest(), {{"containerd.io/uncompressed", layer.diff_id}}));
  }
  const absl::Status committed = snapshots.Commit(layer.chain_id, key, {});
  // Another client unpacked the same layer meanwhile: theirs is as good as ours.
  if (absl::IsAlreadyExists(committed)) return snapshots.Remove(key);
  return committed;
}

absl::Status UnpackLayer(const ContentClient& content, const SnapshotClient& snapshots,
                         const Layer& layer) {
  if (snapshots.Stat(layer.chain_id).ok()) return absl::OkStatus();
  const std::string key = absl::StrCat("extract-", RandomId(), " ", layer.chain_id);
  absl::StatusOr<Mounts> mounts = snapshots.Prepare(
      key, layer.parent_chain_id, {{"containerd.io/snapshot.ref", layer.chain_id}});
  // The answer of a snapshotter that has the layer already.
  if (absl::IsAlreadyExists(mounts.status()) && snapshots.Stat(layer.chain_id).ok()) {
    return absl::OkStatus();
  }
  BERTH_RETURN_IF_ERROR(mounts.status()) << "prepare a snapshot for layer " << layer.blob.digest();
  const absl::Status done = ApplyAndCommit(content, snapshots, layer, key, *mounts);
  // What is half unpacked goes; a failure to remove it is the collector's business.
  if (!done.ok()) snapshots.Remove(key).IgnoreError();
  return done;
}

}  // namespace

absl::Status UnpackImage(const Connection& connection, const ResolvedImage& image,
                         absl::string_view snapshotter) {
  const std::vector<std::string>& diff_ids = image.config.diff_ids;
  if (diff_ids.empty()) return absl::OkStatus();
  if (diff_ids.size() != image.manifest.layers.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("image ", image.record.name(), ": the manifest has ",
                     image.manifest.layers.size(), " layers, the config ", diff_ids.size()));
  }
  const SnapshotClient snapshots(connection, std::string(snapshotter));
  const std::string top = image.chain_id();
  if (snapshots.Stat(top).ok()) return absl::OkStatus();

  const ContentClient content(connection);
  std::string parent;
  for (size_t i = 0; i < diff_ids.size(); ++i) {
    const Layer layer = {image.manifest.layers[i], diff_ids[i], ChainId(diff_ids, i + 1), parent};
    BERTH_RETURN_IF_ERROR(UnpackLayer(content, snapshots, layer))
        << "unpack image " << image.record.name();
    parent = layer.chain_id;
  }
  // From here on the image keeps its snapshots: config blob -> snapshot.
  return content.SetLabels(image.manifest.config.digest(),
                           {{absl::StrCat("containerd.io/gc.ref.snapshot.", snapshotter), top}});
}

}  // namespace berth::client
