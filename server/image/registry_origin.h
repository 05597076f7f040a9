// From a reference to where it is served, as berth-worker is told. Thread-safe function.
#ifndef BERTH_SERVER_IMAGE_REGISTRY_ORIGIN_H_
#define BERTH_SERVER_IMAGE_REGISTRY_ORIGIN_H_

#include "absl/status/statusor.h"
#include "base/reference/reference.h"
#include "proto/berth/worker/v1/worker.pb.h"
#include "server/image/image_puller.h"

namespace berth::image {

enum class RegistryUse { kPull, kPush };

// Errors: INVALID_ARGUMENT for a malformed hosts.toml. Blocks: reads it.
absl::StatusOr<worker::v1::Origin> OriginOf(const Reference& reference,
                                            const RegistryAccess& access, RegistryUse use);

}  // namespace berth::image

#endif  // BERTH_SERVER_IMAGE_REGISTRY_ORIGIN_H_
