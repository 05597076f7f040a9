// berth event: what happens in the server, as it happens.
#include "absl/strings/str_cat.h"
#include "base/status/status_macros.h"
#include "client/commands/payload_document.h"
#include "client/commands/verbs.h"
#include "client/sdk/server_client.h"
#include "client/sdk/timestamps.h"

namespace berth::client {
namespace {

struct EventArguments {
  std::string format = "table";
  std::string cursor = "now";
  std::vector<std::string> rest;
};

absl::StatusOr<int> Follow(const Context& context, const EventArguments& arguments) {
  BERTH_ASSIGN_OR_RETURN(const Format format, ParseFormat(arguments.format));
  BERTH_ASSIGN_OR_RETURN(const Connection connection, context.Connect());
  BERTH_RETURN_IF_ERROR(
      ServerClient(connection)
          .Subscribe(arguments.rest, arguments.cursor,
                     [&](const EventEnvelope& event, const std::string& cursor) {
                       const std::string moment = FormatMoment(FromProto(event.timestamp()));
                       const Json payload = PayloadDocument(event.event());
                       if (format == Format::kJson) {
                         // One line each, so that a reader need not wait for the end.
                         const Json line = {{"timestamp", moment},
                                            {"namespace", event.namespace_()},
                                            {"topic", event.topic()},
                                            {"event", payload},
                                            {"cursor", cursor}};
                         PrintText(absl::StrCat(
                             line.dump(-1, ' ', false, Json::error_handler_t::replace), "\n"));
                       } else {
                         PrintText(absl::StrCat(
                             moment, " ", event.namespace_(), " ", event.topic(), " ",
                             payload.dump(-1, ' ', false, Json::error_handler_t::replace), "\n"));
                       }
                       return absl::OkStatus();
                     }))
      << "follow events";
  return kExitOk;
}

}  // namespace

void AddEvent(Command root, const Context& context) {
  auto arguments = std::make_shared<EventArguments>();
  root.Add("event,events", "Print events of every namespace as they happen")
      .Option("--format", arguments->format, "table, or json: one object a line, with its cursor")
      .Option("--since-cursor CURSOR", arguments->cursor,
              "First what came after this event, or \"oldest\": all that is kept")
      .Rest({"[FILTER...]", 0, -1}, arguments->rest)
      .Examples(
          "  berth event\n"
          "  berth event --format json 'topic~=|^/tasks/|' 'namespace==default'\n"
          "  berth event --since-cursor oldest\n")
      .Do([&context, arguments] { return Follow(context, *arguments); });
}

}  // namespace berth::client
