// What `ps` answers: which containers, newest first.
//
// Thousands of rows are answered as they are stored: a summary is parsed only where a filter asks
// for it. Thread-safe functions; they block.
#ifndef BERTH_SERVER_ENGINE_CONTAINER_LIST_H_
#define BERTH_SERVER_ENGINE_CONTAINER_LIST_H_

#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "proto/berth/engine/v1/view.pb.h"
#include "server/engine/container_table.h"

namespace berth::engine {

// The containers that the request asks for, each encoded as a part of a ListContainersResponse:
// parts one after the other are such a message. `add_sizes` is called for each of them when the
// request wants sizes. Errors: INVALID_ARGUMENT for an unknown filter or value; NOT_FOUND for
// "before" or "since" a container that is not there.
absl::StatusOr<std::vector<std::string>> EncodedContainers(
    ContainerTable& table, absl::string_view ns, const v1::ListContainersRequest& request,
    absl::Time now, absl::FunctionRef<void(v1::ContainerSummary&)> add_sizes);

}  // namespace berth::engine

#endif  // BERTH_SERVER_ENGINE_CONTAINER_LIST_H_
