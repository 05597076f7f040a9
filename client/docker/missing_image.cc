#include "client/docker/missing_image.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace berth::client {

bool IsMissingImage(const absl::Status& status) {
  return absl::IsNotFound(status) && absl::StrContains(status.message(), "No such image");
}

absl::Status PullImage(const Context& context, const PullRequest& request) {
  return absl::UnimplementedError(
      absl::StrCat("cannot pull ", request.image, "; load it with `berth image load -i FILE`"));
}

}  // namespace berth::client
