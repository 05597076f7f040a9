#include "snapshotter/overlay/overlay_snapshotter.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/os/file_io.h"
#include "base/status/status_macros.h"
#include "snapshotter/overlay/overlay_features.h"
#include "snapshotter/overlay/overlay_format.h"
#include "snapshotter/store/directory_snapshotter.h"

namespace berth::snapshots {

absl::StatusOr<std::unique_ptr<Snapshotter>> OpenOverlaySnapshotter(const OverlayOptions& options,
                                                                    sqlite::Database& database) {
  if (options.root.find_first_of(",:\\") != std::string::npos) {
    return absl::InvalidArgumentError(absl::StrCat("the overlayfs root \"", options.root,
                                                   "\" contains a comma, colon or backslash, which "
                                                   "mount data cannot express; choose another"));
  }
  BERTH_RETURN_IF_ERROR(EnsureDirectory(options.root, 0700));
  BERTH_ASSIGN_OR_RETURN(std::vector<std::string> mount_options,
                         RequiredOverlayOptions(options.root));
  BERTH_RETURN_IF_ERROR(ProbeOverlay(options.root, mount_options));
  using Marks = Snapshotter::Description::Marks;
  const bool has_user_marks =
      std::find(mount_options.begin(), mount_options.end(), "userxattr") != mount_options.end();
  mount_options.insert(mount_options.end(), options.mount_options.begin(),
                       options.mount_options.end());
  return DirectorySnapshotter::Open(
      Snapshotter::Description{.name = "overlayfs",
                               .root = options.root,
                               .capabilities = {"rebase", "remap-ids"},
                               .marks = has_user_marks ? Marks::kUser : Marks::kTrusted},
      database, std::make_unique<OverlayFormat>(std::move(mount_options)));
}

}  // namespace berth::snapshots
