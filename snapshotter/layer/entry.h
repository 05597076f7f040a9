// One member of a layer archive, and the names that have a meaning in it.
//
// Plain values. The path and link target are as the archive says: foreign, unchecked.
#ifndef BERTH_SNAPSHOTTER_LAYER_ENTRY_H_
#define BERTH_SNAPSHOTTER_LAYER_ENTRY_H_

#include <sys/types.h>
#include <time.h>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"

namespace berth::layer {

// OCI image specification, layers, "whiteouts": ".wh.NAME" says that NAME of the layers below is
// gone, ".wh..wh..opq" that everything below its directory is.
inline constexpr absl::string_view kWhiteoutPrefix = ".wh.";
inline constexpr absl::string_view kWhiteoutMetaPrefix = ".wh..wh.";
inline constexpr absl::string_view kOpaqueMarker = ".wh..wh..opq";

enum class EntryType {
  kFile,
  kDirectory,
  kSymlink,
  kHardlink,
  kCharDevice,
  kBlockDevice,
  kFifo,
};
// What a file of this mode is in an archive; none for what archives do not hold (sockets).
std::optional<EntryType> EntryTypeOf(mode_t mode);

struct Entry {
  std::string path;
  EntryType type = EntryType::kFile;
  mode_t permissions = 0;  // with set-id and sticky bits
  uid_t uid = 0;
  gid_t gid = 0;
  dev_t device = 0;         // of kCharDevice and kBlockDevice
  uint64_t size_bytes = 0;  // of kFile
  struct timespec modified = {};
  std::string link_target;  // of kSymlink and kHardlink
  std::vector<std::pair<std::string, std::string>> xattrs;
};

// Whether an image may carry the extended attribute `name`. Not: what overlayfs keeps its own state
// in (a forged redirect would show a layer other files than its own), and what is the host's to
// decide (SELinux labels, integrity measurements).
bool IsImageXattr(absl::string_view name);

}  // namespace berth::layer

#endif  // BERTH_SNAPSHOTTER_LAYER_ENTRY_H_
