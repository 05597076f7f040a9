#include "server/metadata/object.h"

#include "absl/strings/str_cat.h"

namespace berth::metadata {

std::string SnapshotObjectName(absl::string_view snapshotter, absl::string_view key) {
  return absl::StrCat(snapshotter, "/", key);
}

std::pair<absl::string_view, absl::string_view> SplitSnapshotObjectName(absl::string_view name) {
  const size_t slash = name.find('/');
  if (slash == absl::string_view::npos) return {};
  return {name.substr(0, slash), name.substr(slash + 1)};
}

}  // namespace berth::metadata
