#include "server/engine/event_log.h"

#include <algorithm>
#include <iterator>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/status/status_macros.h"
#include "server/metadata/namespace_table.h"
#include "server/metadata/record.h"

namespace berth::engine {
namespace {

// An action may carry details: "exec_create: sh" is "exec_create".
absl::string_view BareAction(absl::string_view action) {
  return action.substr(0, action.find(':'));
}

bool MatchesActor(absl::string_view wanted, const v1::EngineEvent& event, absl::string_view type) {
  if (event.type() != type) return false;
  if (absl::StartsWith(event.actor_id(), wanted)) return true;
  const auto name = event.attributes().find("name");
  return name != event.attributes().end() && name->second == wanted;
}

bool MatchesImage(absl::string_view wanted, const v1::EngineEvent& event) {
  if (MatchesActor(wanted, event, "image")) return true;
  const auto image = event.attributes().find("image");
  if (image == event.attributes().end()) return false;
  return image->second == wanted ||
         absl::string_view(image->second).substr(0, image->second.rfind(':')) == wanted;
}

bool MatchesLabel(absl::string_view wanted, const v1::EngineEvent& event) {
  const size_t equals = wanted.find('=');
  const auto found = event.attributes().find(std::string(wanted.substr(0, equals)));
  if (found == event.attributes().end()) return false;
  return equals == absl::string_view::npos || found->second == wanted.substr(equals + 1);
}

bool MatchesOne(absl::string_view key, absl::string_view value, const v1::EngineEvent& event) {
  if (key == "type") return event.type() == value;
  if (key == "event") return event.action() == value || BareAction(event.action()) == value;
  if (key == "image") return MatchesImage(value, event);
  if (key == "label") return MatchesLabel(value, event);
  if (key == "daemon" || key == "scope") return true;
  return MatchesActor(value, event, key);
}

}  // namespace

absl::Status EventLog::Store(const v1::EngineEvent& event) {
  return database_.Write(
      sqlite::WriteMode::kDelayed, [&](sqlite::Connection& connection) -> absl::Status {
        BERTH_RETURN_IF_ERROR(metadata::EnsureNamespace(connection, event.namespace_()));
        BERTH_RETURN_IF_ERROR(connection.Run(
            "INSERT INTO engine_events (ns, time, record) VALUES (?, ?, ?)", event.namespace_(),
            absl::ToUnixNanos(metadata::FromTimestamp(event.time())),
            sqlite::Blob{event.SerializeAsString()}));
        return connection.Run("DELETE FROM engine_events WHERE number <= ?",
                              connection.LastInsertRowId() - kKept);
      });
}

void EventLog::Publish(absl::string_view ns, absl::string_view type, absl::string_view action,
                       absl::string_view actor, Attributes attributes) {
  v1::EngineEvent event;
  event.set_namespace_(std::string(ns));
  event.set_type(std::string(type));
  event.set_action(std::string(action));
  event.set_actor_id(std::string(actor));
  for (auto& [key, value] : attributes) (*event.mutable_attributes())[key] = std::move(value);
  // Under the lock, so that the order of the store is that of the listeners.
  MutexLock lock(&mutex_);
  *event.mutable_time() = metadata::ToTimestamp(absl::Now());
  Store(event).IgnoreError();  // a full disk must not hide what happens
  for (auto it = listeners_.begin(); it != listeners_.end();) {
    const bool stays = it->second.first != ns || it->second.second(event);
    it = stays ? std::next(it) : listeners_.erase(it);
  }
}

absl::StatusOr<uint64_t> EventLog::Listen(absl::string_view ns, absl::Time since,
                                          Listener listener) {
  MutexLock lock(&mutex_);
  if (since < absl::InfiniteFuture()) {
    BERTH_RETURN_IF_ERROR(database_.Read([&](sqlite::Connection& connection) -> absl::Status {
      BERTH_ASSIGN_OR_RETURN(
          sqlite::Statement row,
          connection.Prepare("SELECT record FROM engine_events WHERE ns = ? AND time >= ? "
                             "ORDER BY number"));
      row.Bind(ns, absl::ToUnixNanos(since));
      while (true) {
        BERTH_ASSIGN_OR_RETURN(const bool more, row.Step());
        if (!more) return absl::OkStatus();
        BERTH_ASSIGN_OR_RETURN(const auto event, metadata::ParseRecord<v1::EngineEvent>(
                                                     row.ColumnBlob(0), "an engine event"));
        if (!listener(event)) return absl::CancelledError("the listener went away");
      }
    }));
  }
  const uint64_t number = next_++;
  listeners_.emplace(number, std::make_pair(std::string(ns), std::move(listener)));
  return number;
}

void EventLog::Forget(uint64_t number) {
  MutexLock lock(&mutex_);
  listeners_.erase(number);
}

absl::Status CheckEventFilters(const v1::EngineEventsRequest& request) {
  constexpr absl::string_view kKnown[] = {"type",    "event", "container", "image", "volume",
                                          "network", "label", "daemon",    "scope"};
  for (const auto& [key, values] : request.filters()) {
    if (std::find(std::begin(kKnown), std::end(kKnown), key) == std::end(kKnown)) {
      return absl::InvalidArgumentError(absl::StrCat("invalid filter '", key, "'"));
    }
  }
  return absl::OkStatus();
}

bool Matches(const v1::EngineEventsRequest& request, const v1::EngineEvent& event) {
  return std::all_of(request.filters().begin(), request.filters().end(), [&](const auto& filter) {
    const auto& [key, values] = filter;
    const auto one = [&, &key = key](const std::string& value) {
      return MatchesOne(key, value, event);
    };
    const auto& list = values.values();
    // All labels must match, of the others any.
    return key == "label" ? std::all_of(list.begin(), list.end(), one)
                          : list.empty() || std::any_of(list.begin(), list.end(), one);
  });
}

}  // namespace berth::engine
