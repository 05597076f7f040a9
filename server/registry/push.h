// Sends blobs and manifests to a registry.
//
// A blob that the registry has is not sent; one that it has in another repository is mounted; a
// large one goes in chunks, and a broken upload goes on where the registry says that it stands.
// Thread-safe functions.
#ifndef BERTH_SERVER_REGISTRY_PUSH_H_
#define BERTH_SERVER_REGISTRY_PUSH_H_

#include <cstdint>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/os/unique_fd.h"
#include "proto/berth/worker/v1/worker.pb.h"
#include "server/registry/origin.h"

namespace berth::registry {

// `blob` holds the bytes of request.target. Errors: worker.proto, service Registry. Blocks.
absl::StatusOr<worker::v1::PushResponse> Push(
    const worker::v1::PushRequest& request, BorrowedFd blob, const Context& context,
    absl::FunctionRef<void(uint64_t sent, uint64_t total)> on_progress);

// `bytes` are those of request.target. A manifest with a subject is also entered into the list of
// its referrers, where the registry does not do so by itself. Blocks.
absl::StatusOr<worker::v1::PushManifestResponse> PushManifest(
    const worker::v1::PushManifestRequest& request, const std::string& bytes,
    const Context& context);

}  // namespace berth::registry

#endif  // BERTH_SERVER_REGISTRY_PUSH_H_
