#include "server/engine/prune.h"

#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "server/engine/engine.h"
#include "server/engine/label_filter.h"
#include "server/engine/sizes.h"
#include "server/metadata/record.h"

namespace berth::engine {

absl::StatusOr<absl::Time> ParseUntil(absl::string_view text, absl::Time now) {
  absl::Duration ago;
  if (absl::ParseDuration(text, &ago)) return now - ago;
  double seconds = 0;
  if (absl::SimpleAtod(text, &seconds)) return absl::UnixEpoch() + absl::Seconds(seconds);
  absl::Time time;
  std::string error;
  for (const char* format :
       {absl::RFC3339_full, "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d"}) {
    if (absl::ParseTime(format, text, absl::LocalTimeZone(), &time, &error)) return time;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("until \"", text, "\": expected a duration (24h), a date, or Unix seconds"));
}

Async<absl::StatusOr<v1::PruneContainersResponse>> PruneContainers(
    Engine& engine, std::string ns, v1::PruneContainersRequest request) {
  absl::Time until = absl::InfiniteFuture();
  for (const auto& [key, filter] : request.filters()) {
    if (key == "until") {
      for (const std::string& value : filter.values()) {
        BERTH_CO_ASSIGN_OR_RETURN(until, ParseUntil(value, absl::Now()));
      }
    } else if (key != "label" && key != "label!") {
      co_return absl::InvalidArgumentError(absl::StrCat("invalid filter '", key, "'"));
    }
  }
  v1::PruneContainersResponse response;
  BERTH_CO_ASSIGN_OR_RETURN(const auto list, engine.table().List(ns));
  for (const v1::ContainerSummary& container : list) {
    const v1::Status status = container.state().status();
    const bool stopped =
        status == v1::STATUS_CREATED || status == v1::STATUS_EXITED || status == v1::STATUS_DEAD;
    // Containers of other clients have no image id here: what they are for is theirs to know.
    if (!stopped || container.image_id().empty()) continue;
    if (metadata::FromTimestamp(container.created_at()) >= until) continue;
    if (!MatchesPruneLabels(container.labels(), request.filters())) continue;
    const ContainerKey key{ns, container.id()};
    const int64_t bytes = WritableBytes(engine, key);
    Async<absl::StatusOr<v1::RemoveContainerResponse>> removal = engine.lifecycle().Remove(key, {});
    const auto removed = co_await removal;
    // One that was started or removed meanwhile is not ours any more.
    if (!removed.ok()) continue;
    response.add_ids(container.id());
    response.set_reclaimed_bytes(response.reclaimed_bytes() + static_cast<uint64_t>(bytes));
  }
  co_return response;
}

}  // namespace berth::engine
