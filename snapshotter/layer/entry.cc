#include "snapshotter/layer/entry.h"

#include "absl/strings/match.h"

namespace berth::layer {

bool IsImageXattr(absl::string_view name) {
  return !absl::StartsWith(name, "trusted.overlay.") && !absl::StartsWith(name, "user.overlay.") &&
         name != "security.selinux" && name != "security.ima" && name != "security.evm" &&
         !absl::StartsWith(name, "security.SMACK64");
}

}  // namespace berth::layer
