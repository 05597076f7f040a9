#include "client/docker/missing_image.h"

#include <utility>

#include "absl/strings/match.h"
#include "base/reference/reference.h"
#include "base/status/status_macros.h"
#include "client/commands/image_pull.h"

namespace berth::client {

bool IsMissingImage(const absl::Status& status) {
  return absl::IsNotFound(status) && absl::StrContains(status.message(), "No such image");
}

absl::Status PullMissing(const Context& context, const MissingImage& missing) {
  BERTH_ASSIGN_OR_RETURN(const Reference reference, Reference::Parse(missing.image));
  PlatformChoice choice;
  if (!missing.platform.empty()) {
    BERTH_ASSIGN_OR_RETURN(Platform platform, ParsePlatform(missing.platform), _ << "--platform");
    choice.platforms.push_back(std::move(platform));
  }
  return PullImage(context, {.reference = reference,
                             .choice = std::move(choice),
                             .reach = {},
                             .unpack = ImagePull::Unpack::kNow,
                             .style = missing.is_quiet ? TransferDisplay::Style::kQuiet
                                                       : TransferDisplay::ChooseStyle()});
}

}  // namespace berth::client
