// Which container a word on the command line means, and how containers end. Thread-safe functions.
#ifndef BERTH_CLIENT_COMMANDS_CONTAINER_LOOKUP_H_
#define BERTH_CLIENT_COMMANDS_CONTAINER_LOOKUP_H_

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "client/sdk/connection.h"
#include "client/sdk/container_client.h"
#include "client/sdk/task_client.h"

namespace berth::client {

// By id, by name, or by the beginning of exactly one id. Errors: NOT_FOUND, INVALID_ARGUMENT when
// the beginning fits several.
absl::StatusOr<ContainerRecord> FindContainer(const Connection& connection, absl::string_view word);

// The name a user gave, else the id.
std::string NameOf(const ContainerRecord& container);

// The task of a container; nullopt when it has none.
absl::StatusOr<std::optional<containerd::v1::types::Process>> FindTask(
    const Connection& connection, absl::string_view container_id);

// Deletes an ended task and keeps its exit status on the container's record. Answers the status; a
// container without a task answers what the record says.
absl::StatusOr<ExitResult> ReapTask(const Connection& connection, absl::string_view container_id);

// Deletes the record, its snapshot and its log. Requires: no task. What is already gone is no
// error.
absl::Status RemoveContainer(const Connection& connection, const ContainerRecord& container);

// What a verb that needs a running container answers for one that does not run.
absl::Status NotRunning(absl::string_view word);

// "/bin/sh -c true" of the record's spec.
std::string CommandOf(const ContainerRecord& container);

}  // namespace berth::client

#endif  // BERTH_CLIENT_COMMANDS_CONTAINER_LOOKUP_H_
