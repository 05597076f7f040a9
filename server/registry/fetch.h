// Fetches a blob or manifest into an upload.
//
// Goes on where the upload, or a broken connection, ended; asks the next host where one fails. A
// large blob from a slow host comes in several ranges at a time, which are written in order.
// Invariant: when it succeeds the upload is the whole of the blob and hashes to its digest; when
// the bytes were wrong, it is empty. Memory is bounded: see kSegmentBytes. Thread-safe function.
#ifndef BERTH_SERVER_REGISTRY_FETCH_H_
#define BERTH_SERVER_REGISTRY_FETCH_H_

#include "absl/status/statusor.h"
#include "base/os/unique_fd.h"
#include "proto/berth/worker/v1/worker.pb.h"
#include "server/registry/origin.h"
#include "server/registry/upload_file.h"

namespace berth::registry {

// Errors: worker.proto, service Registry. Blocks.
absl::StatusOr<worker::v1::FetchResponse> Fetch(const worker::v1::FetchRequest& request,
                                                UniqueFd upload, UploadObserver observer,
                                                const Context& context);

}  // namespace berth::registry

#endif  // BERTH_SERVER_REGISTRY_FETCH_H_
