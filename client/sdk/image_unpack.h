// Turns an image's layers into snapshots, one on the other.
//
// Invariant: a snapshot named by a chainID holds exactly the layers that the chainID names: what
// was applied is compared with the config's diffIDs before it is committed. Thread-safe function.
#ifndef BERTH_CLIENT_SDK_IMAGE_UNPACK_H_
#define BERTH_CLIENT_SDK_IMAGE_UNPACK_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "client/sdk/connection.h"
#include "client/sdk/image_reader.h"

namespace berth::client {

// Does nothing for layers that are there. `connection` should carry a lease. Errors: DATA_LOSS when
// a layer's bytes are not those that the config promises.
absl::Status UnpackImage(const Connection& connection, const ResolvedImage& image,
                         absl::string_view snapshotter);

}  // namespace berth::client

#endif  // BERTH_CLIENT_SDK_IMAGE_UNPACK_H_
