// berth stop: ends containers with their stop signal, then by force.
#include <csignal>

#include "base/status/status_macros.h"
#include "client/commands/container_lookup.h"
#include "client/commands/container_stop.h"
#include "client/commands/each.h"
#include "client/commands/record_labels.h"
#include "client/commands/verbs.h"
#include "client/sdk/quantities.h"

namespace berth::client {
namespace {

struct StopArguments {
  int timeout_s = 10;
  std::string signal;
  std::vector<std::string> rest;
};

absl::StatusOr<int> SignalFor(const ContainerRecord& container, const std::string& wanted) {
  if (!wanted.empty()) return ParseSignal(wanted);
  const auto label = container.labels().find(kStopSignalLabel);
  return label == container.labels().end() ? SIGTERM : ParseSignal(label->second);
}

absl::StatusOr<int> Stop(const Context& context, const StopArguments& arguments) {
  BERTH_ASSIGN_OR_RETURN(const Connection connection, context.Connect());
  const absl::Duration grace =
      arguments.timeout_s < 0 ? absl::InfiniteDuration() : absl::Seconds(arguments.timeout_s);
  return ForEachAtOnce("stop", arguments.rest, [&](const std::string& word) -> absl::Status {
    BERTH_ASSIGN_OR_RETURN(const ContainerRecord container, FindContainer(connection, word));
    BERTH_ASSIGN_OR_RETURN(const int signal, SignalFor(container, arguments.signal));
    return StopContainer(connection, container, signal, grace);
  });
}

}  // namespace

void AddStop(Command root, const Context& context) {
  auto arguments = std::make_shared<StopArguments>();
  root.Add("stop", "Stop containers: their stop signal, then SIGKILL")
      .Option("-t,--time", arguments->timeout_s, "Seconds before SIGKILL (default: 10; -1: never)")
      .Option("-s,--signal", arguments->signal, "Signal instead of the container's own")
      .Rest({"CONTAINER [CONTAINER...]", 1, -1}, arguments->rest)
      .Examples("  berth stop web\n  berth stop -t 0 web worker\n")
      .Do([&context, arguments] { return Stop(context, *arguments); });
}

}  // namespace berth::client
