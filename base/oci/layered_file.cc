#include "base/oci/layered_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "base/status/status_macros.h"

namespace berth::oci {
namespace {

constexpr size_t kMaxFileBytes = 4 << 20;

}  // namespace

std::vector<std::string> LayersOf(absl::string_view type, absl::string_view source,
                                  absl::Span<const std::string> options) {
  if (type != "overlay") return {std::string(source)};
  std::vector<std::string> layers;
  for (absl::string_view option : options) {
    if (absl::ConsumePrefix(&option, "upperdir=")) {
      layers.insert(layers.begin(), std::string(option));
    } else if (absl::ConsumePrefix(&option, "lowerdir=")) {
      for (absl::string_view lower : absl::StrSplit(option, ':', absl::SkipEmpty())) {
        layers.push_back(std::string(lower));
      }
    }
  }
  return layers;
}

absl::StatusOr<std::string> ReadLayeredFile(absl::Span<const std::string> layers,
                                            absl::string_view path) {
  for (const std::string& layer : layers) {
    BERTH_ASSIGN_OR_RETURN(const UniqueFd root, OpenFile(layer, O_PATH | O_DIRECTORY));
    // Not blocking: an image may hold a named pipe there.
    absl::StatusOr<UniqueFd> found = OpenInRoot(root, path, O_PATH);
    if (absl::IsNotFound(found.status())) continue;
    BERTH_RETURN_IF_ERROR(found.status());
    struct stat status = {};
    if (::fstat(found->get(), &status) != 0) continue;
    if (S_ISCHR(status.st_mode) && status.st_rdev == ::makedev(0, 0)) break;  // a whiteout
    if (!S_ISREG(status.st_mode)) break;
    BERTH_ASSIGN_OR_RETURN(const UniqueFd file, OpenInRoot(root, path, O_RDONLY | O_NONBLOCK));
    return ReadAll(file, kMaxFileBytes);
  }
  return absl::NotFoundError(absl::StrCat("the root has no file /", path));
}

}  // namespace berth::oci
