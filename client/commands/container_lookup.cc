#include "client/commands/container_lookup.h"

#include <unistd.h>

#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status/status_macros.h"
#include "client/commands/record_labels.h"
#include "client/sdk/json_access.h"
#include "client/sdk/snapshot_client.h"
#include "client/sdk/timestamps.h"

namespace berth::client {
namespace {

std::string LabelOf(const ContainerRecord& container, const char* key) {
  const auto found = container.labels().find(key);
  return found == container.labels().end() ? "" : found->second;
}

absl::Status IgnoreNotFound(const absl::Status& status) {
  return absl::IsNotFound(status) ? absl::OkStatus() : status;
}

}  // namespace

absl::StatusOr<ContainerRecord> FindContainer(const Connection& connection,
                                              absl::string_view word) {
  const ContainerClient containers(connection);
  absl::StatusOr<ContainerRecord> exact = containers.Get(word);
  // An impossible id (a name with odd characters) is refused by some servers: search as well.
  if (exact.ok() ||
      !(absl::IsNotFound(exact.status()) || absl::IsInvalidArgument(exact.status()))) {
    return exact;
  }
  BERTH_ASSIGN_OR_RETURN(const std::vector<ContainerRecord> all, containers.List({}));
  std::vector<const ContainerRecord*> beginning;
  for (const ContainerRecord& container : all) {
    if (LabelOf(container, kNameLabel) == word) return container;
    if (!word.empty() && absl::StartsWith(container.id(), word)) beginning.push_back(&container);
  }
  if (beginning.size() == 1) return *beginning[0];
  if (beginning.size() > 1) {
    return absl::InvalidArgumentError(absl::StrCat(
        "\"", word, "\" is the beginning of ", beginning.size(),
        " containers' ids: ", beginning[0]->id(), ", ", beginning[1]->id(), "; give more of it"));
  }
  return absl::NotFoundError(absl::StrCat("no container \"", word, "\" in namespace \"",
                                          connection.ns(), "\"; `berth ps -a` lists them"));
}

std::string NameOf(const ContainerRecord& container) {
  const std::string name = LabelOf(container, kNameLabel);
  return name.empty() ? container.id() : name;
}

absl::StatusOr<std::optional<containerd::v1::types::Process>> FindTask(
    const Connection& connection, absl::string_view container_id) {
  absl::StatusOr<containerd::v1::types::Process> task =
      TaskClient(connection).Get({std::string(container_id), ""});
  if (absl::IsNotFound(task.status())) return std::nullopt;
  BERTH_RETURN_IF_ERROR(task.status());
  return *std::move(task);
}

absl::StatusOr<ExitResult> ReapTask(const Connection& connection, absl::string_view container_id) {
  const ContainerClient containers(connection);
  absl::StatusOr<ExitResult> result =
      TaskClient(connection).Delete({std::string(container_id), ""});
  if (absl::IsNotFound(result.status())) {
    BERTH_ASSIGN_OR_RETURN(const ContainerRecord container, containers.Get(container_id));
    ExitResult recorded;
    if (!absl::SimpleAtoi(LabelOf(container, kExitStatusLabel), &recorded.exit_status)) {
      return absl::NotFoundError(
          absl::StrCat("container ", container_id, " has no task and no recorded exit"));
    }
    return recorded;
  }
  BERTH_RETURN_IF_ERROR(result.status()) << "delete the task of container " << container_id;
  BERTH_RETURN_IF_ERROR(IgnoreNotFound(
      containers.SetLabels(container_id, {{kExitStatusLabel, absl::StrCat(result->exit_status)},
                                          {kExitedAtLabel, FormatMoment(result->exited_at)}})))
      << "record the exit of container " << container_id;
  return result;
}

absl::Status RemoveContainer(const Connection& connection, const ContainerRecord& container) {
  BERTH_RETURN_IF_ERROR(IgnoreNotFound(ContainerClient(connection).Delete(container.id())))
      << "delete container " << container.id();
  if (!container.snapshot_key().empty()) {
    const SnapshotClient snapshots(connection, container.snapshotter());
    BERTH_RETURN_IF_ERROR(IgnoreNotFound(snapshots.Remove(container.snapshot_key())))
        << "remove the snapshot of container " << container.id();
  }
  const std::string log = LabelOf(container, kLogLabel);
  if (!log.empty()) ::unlink(log.c_str());  // on another host there is none
  return absl::OkStatus();
}

absl::Status NotRunning(absl::string_view word) {
  return absl::FailedPreconditionError(
      absl::StrCat("container ", word, " does not run; `berth ps -a` says how it ended"));
}

std::string CommandOf(const ContainerRecord& container) {
  absl::StatusOr<Json> spec = ParseJson(container.spec().value());
  if (!spec.ok()) return "";
  const Json* process = Find(*spec, "process");
  return process == nullptr ? "" : absl::StrJoin(StringsAt(*process, "args"), " ");
}

}  // namespace berth::client
