// berth kill: a signal to the main process of containers.
#include "base/status/status_macros.h"
#include "client/commands/container_lookup.h"
#include "client/commands/each.h"
#include "client/commands/verbs.h"
#include "client/sdk/quantities.h"

namespace berth::client {
namespace {

struct KillArguments {
  std::string signal = "KILL";
  std::vector<std::string> rest;
};

absl::StatusOr<int> Kill(const Context& context, const KillArguments& arguments) {
  BERTH_ASSIGN_OR_RETURN(const int signal, ParseSignal(arguments.signal), _ << "--signal");
  BERTH_ASSIGN_OR_RETURN(const Connection connection, context.Connect());
  return ForEach("kill", arguments.rest, [&](const std::string& word) -> absl::Status {
    BERTH_ASSIGN_OR_RETURN(const ContainerRecord container, FindContainer(connection, word));
    const absl::Status sent =
        TaskClient(connection).Kill({container.id(), ""}, signal, KillScope::kProcess);
    return absl::IsNotFound(sent) ? NotRunning(word) : Annotate(sent, word);
  });
}

}  // namespace

void AddKill(Command root, const Context& context) {
  auto arguments = std::make_shared<KillArguments>();
  root.Add("kill", "Send a signal to containers")
      .Option("-s,--signal", arguments->signal, "Name or number (default: KILL)")
      .Rest({"CONTAINER [CONTAINER...]", 1, -1}, arguments->rest)
      .Examples("  berth kill web\n  berth kill -s HUP web\n")
      .Do([&context, arguments] { return Kill(context, *arguments); });
}

}  // namespace berth::client
