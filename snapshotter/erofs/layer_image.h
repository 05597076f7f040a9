// Turns the members of a layer into an EROFS image: what TreeWriter does to an overlay's upper
// directory, without a directory.
//
// Invariant: paths are resolved inside the tree that is being made, links in them as the container
// would follow them; nothing of the host is read but the layers below, and nothing is written but
// the image. Whiteouts are devices 0/0, opaque directories have trusted.overlay.opaque, as
// overlayfs wants them of a lower layer. Memory grows with the number of members.
// Thread-compatible. Owned by one apply job.
#ifndef BERTH_SNAPSHOTTER_EROFS_LAYER_IMAGE_H_
#define BERTH_SNAPSHOTTER_EROFS_LAYER_IMAGE_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/os/unique_fd.h"
#include "snapshotter/erofs/image_writer.h"
#include "snapshotter/layer/entry.h"
#include "snapshotter/layer/entry_sink.h"
#include "snapshotter/layer/layer_path.h"

namespace berth::erofs {

class LayerImage final : public layer::EntrySink {
 public:
  // `image`: an empty file; borrowed. `lowers`: roots of the layers below, the nearest first.
  LayerImage(BorrowedFd image, std::vector<UniqueFd> lowers, layer::Below below);

  absl::Status Add(const layer::Entry& entry, DataWriter write_data) override;
  // Writes the metadata; the image is complete then, but not yet on the disk.
  absl::Status Finish() override;
  bool needs_parent() const override { return needs_parent_; }

 private:
  enum class Missing { kMake, kTell };

  absl::Status AddChecked(const layer::Entry& entry, const layer::LayerPath& path,
                          DataWriter write_data);
  // The directory `path`, links followed. Errors: INVALID_ARGUMENT for a part that is a file or a
  // link to nothing; NOT_FOUND where it is missing and not to be made.
  absl::StatusOr<Number> OpenDirectory(absl::string_view path, Missing missing);
  absl::StatusOr<Number> MakeMissing(Number parent, absl::string_view name,
                                     const std::string& path);
  absl::Status AddDirectory(const layer::Entry& entry, Number parent, absl::string_view name);
  absl::Status AddHardlink(const layer::Entry& entry, const layer::LayerPath& path, Number parent);
  absl::Status CopyUp(const layer::LayerPath& path);
  absl::Status Whiteout(const layer::LayerPath& path, Number parent);
  void MarkOpaque(Number directory);
  bool IsWhiteout(Number number) const;
  absl::Status NeedParent();

  ImageWriter writer_;
  const std::vector<UniqueFd> lowers_;
  const layer::Below below_;
  bool needs_parent_ = false;
};

}  // namespace berth::erofs

#endif  // BERTH_SNAPSHOTTER_EROFS_LAYER_IMAGE_H_
