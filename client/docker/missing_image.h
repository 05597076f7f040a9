// An image that `run` or `create` need and that is not there. Thread-safe functions.
#ifndef BERTH_CLIENT_DOCKER_MISSING_IMAGE_H_
#define BERTH_CLIENT_DOCKER_MISSING_IMAGE_H_

#include <string>

#include "absl/status/status.h"
#include "client/commands/context.h"

namespace berth::client {

struct MissingImage {
  std::string image;
  std::string platform;
  bool is_quiet = false;
};

// Whether the engine refused a container for want of its image.
bool IsMissingImage(const absl::Status& status);

// Has the server pull it. Blocks.
absl::Status PullMissing(const Context& context, const MissingImage& missing);

}  // namespace berth::client

#endif  // BERTH_CLIENT_DOCKER_MISSING_IMAGE_H_
