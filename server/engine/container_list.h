// What `ps` shows: filters, and the words of the status column. Pure functions.
#ifndef BERTH_SERVER_ENGINE_CONTAINER_LIST_H_
#define BERTH_SERVER_ENGINE_CONTAINER_LIST_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "proto/berth/engine/v1/record.pb.h"
#include "proto/berth/engine/v1/view.pb.h"

namespace berth::engine {

// "5 minutes", "About an hour", "2 weeks": Docker's words.
std::string HumanDuration(absl::Duration duration);
// "Up 5 minutes (healthy)", "Exited (0) 2 hours ago", "Created".
std::string StatusText(const v1::State& state, absl::Time now);
// "running", "exited" ...
absl::string_view StatusWord(v1::Status status);
// Keeps what the request asks for and fills in the status. `list` is newest first. Errors:
// INVALID_ARGUMENT for an unknown filter or value.
absl::Status SelectContainers(const v1::ListContainersRequest& request, absl::Time now,
                              std::vector<v1::ContainerSummary>& list);

}  // namespace berth::engine

#endif  // BERTH_SERVER_ENGINE_CONTAINER_LIST_H_
