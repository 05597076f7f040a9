// berth events: what happens to containers, images and volumes, as it happens.
#include <algorithm>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status/status_macros.h"
#include "client/commands/listing.h"
#include "client/docker/docker_verbs.h"
#include "client/docker/filters.h"
#include "client/format/template.h"
#include "client/options/value_syntax.h"
#include "client/sdk/engine_client.h"
#include "client/sdk/json_access.h"
#include "client/sdk/timestamps.h"

namespace berth::client {
namespace {

struct EventsArguments {
  std::string since;
  std::string until;
  std::vector<std::string> filters;
  std::string format;
  std::vector<std::string> rest;
};

Json DocumentOf(const engine::EngineEvent& event) {
  Json attributes = Json::object();
  std::vector<std::pair<std::string, std::string>> sorted(event.attributes().begin(),
                                                          event.attributes().end());
  std::sort(sorted.begin(), sorted.end());
  for (const auto& [key, value] : sorted) attributes[key] = value;
  const absl::Time time = FromProto(event.time());
  Json document = Json::object();
  // The first three are docker's old names, for containers alone.
  if (event.type() == "container") {
    document["status"] = event.action();
    document["id"] = event.actor_id();
    document["from"] = StringAt(attributes, "image");
  }
  document["Type"] = event.type();
  document["Action"] = event.action();
  document["Actor"] = {{"ID", event.actor_id()}, {"Attributes", attributes}};
  document["scope"] = "local";
  document["time"] = absl::ToUnixSeconds(time);
  document["timeNano"] = absl::ToUnixNanos(time);
  return document;
}

// "2026-01-02T15:04:05.000000000Z container die 0123... (exitCode=0, image=busybox)".
std::string LineOf(const engine::EngineEvent& event) {
  std::vector<std::string> attributes;
  for (const auto& [key, value] : event.attributes()) {
    attributes.push_back(absl::StrCat(key, "=", value));
  }
  std::sort(attributes.begin(), attributes.end());
  std::string line = absl::StrCat(
      absl::FormatTime("%Y-%m-%dT%H:%M:%E9S%Ez", FromProto(event.time()), absl::LocalTimeZone()),
      " ", event.type(), " ", event.action(), " ", event.actor_id());
  if (!attributes.empty()) absl::StrAppend(&line, " (", absl::StrJoin(attributes, ", "), ")");
  return line;
}

absl::StatusOr<int> ShowEvents(const Context& context, const EventsArguments& arguments) {
  std::optional<Template> format;
  if (!arguments.format.empty()) {
    BERTH_ASSIGN_OR_RETURN(
        Template parsed,
        Template::Parse(arguments.format == "json" ? "{{json .}}" : arguments.format),
        _ << "--format");
    format.emplace(std::move(parsed));
  }
  engine::EngineEventsRequest request;
  BERTH_RETURN_IF_ERROR(AddFilters(arguments.filters, *request.mutable_filters()));
  const absl::Time now = absl::Now();
  if (!arguments.since.empty()) {
    BERTH_ASSIGN_OR_RETURN(const absl::Time since, ParseMoment(arguments.since, now),
                           _ << "--since");
    *request.mutable_since() = ToProto(since);
  }
  if (!arguments.until.empty()) {
    BERTH_ASSIGN_OR_RETURN(const absl::Time until, ParseMoment(arguments.until, now),
                           _ << "--until");
    *request.mutable_until() = ToProto(until);
  }
  BERTH_ASSIGN_OR_RETURN(const Connection connection, context.Connect());
  BERTH_RETURN_IF_ERROR(EngineClient(connection)
                            .Events(request, [&](const engine::EngineEvent& event) -> absl::Status {
                              std::string line;
                              if (format.has_value()) {
                                BERTH_ASSIGN_OR_RETURN(line, format->Execute(DocumentOf(event)),
                                                       _ << "--format");
                              } else {
                                line = LineOf(event);
                              }
                              PrintText(absl::StrCat(line, "\n"));
                              return absl::OkStatus();
                            }));
  return kExitOk;
}

}  // namespace

void AddEvents(Command parent, const Context& context) {
  auto arguments = std::make_shared<EventsArguments>();
  parent.Add("events", "Show what happens to containers, images and volumes")
      .Option("--since MOMENT", arguments->since, "First what happened since then")
      .Option("--until MOMENT", arguments->until, "End then")
      .Option("-f,--filter KEY=VALUE", arguments->filters,
              "type, event, container, image, volume, label")
      .Option("--format FORMAT", arguments->format, "json, or a Go template")
      .Rest({"", 0, 0}, arguments->rest)
      .Examples(
          "  berth events --filter event=die --filter container=web\n"
          "  berth events --since 1h --until 0s --format '{{.Action}} {{.Actor.ID}}'\n")
      .Do([&context, arguments] { return ShowEvents(context, *arguments); });
}

}  // namespace berth::client
