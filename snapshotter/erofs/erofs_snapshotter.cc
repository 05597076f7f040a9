#include "snapshotter/erofs/erofs_snapshotter.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/os/file_io.h"
#include "base/status/status_macros.h"
#include "snapshotter/erofs/erofs_format.h"
#include "snapshotter/erofs/image_mount.h"
#include "snapshotter/overlay/overlay_features.h"
#include "snapshotter/store/directory_snapshotter.h"

namespace berth::snapshots {

absl::StatusOr<std::unique_ptr<Snapshotter>> OpenErofsSnapshotter(const ErofsOptions& options,
                                                                  sqlite::Database& database) {
  if (options.root.find_first_of(",:\\") != std::string::npos) {
    return absl::InvalidArgumentError(absl::StrCat("the erofs root \"", options.root,
                                                   "\" contains a comma, colon or backslash, which "
                                                   "mount data cannot express; choose another"));
  }
  BERTH_RETURN_IF_ERROR(EnsureDirectory(options.root, 0700));
  BERTH_RETURN_IF_ERROR(erofs::ProbeFileMounts(options.root));
  BERTH_ASSIGN_OR_RETURN(std::vector<std::string> mount_options,
                         RequiredOverlayOptions(options.root));
  BERTH_RETURN_IF_ERROR(ProbeOverlay(options.root, mount_options));
  return DirectorySnapshotter::Open(
      Snapshotter::Description{.name = "erofs",
                               .root = options.root,
                               .capabilities = {"rebase", "remap-ids"},
                               .marks = Snapshotter::Description::Marks::kTrusted,
                               .image = ErofsFormat::kImage},
      database, std::make_unique<ErofsFormat>(std::move(mount_options)));
}

}  // namespace berth::snapshots
