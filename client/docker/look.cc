// Short looks at one container: top, port, diff.
#include <algorithm>
#include <memory>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status/status_macros.h"
#include "client/commands/listing.h"
#include "client/docker/docker_verbs.h"
#include "client/format/row_view.h"
#include "client/sdk/engine_client.h"

namespace berth::client {
namespace {

using Words = std::vector<std::string>;

absl::StatusOr<int> ShowProcesses(const Context& context, const Words& words) {
  BERTH_ASSIGN_OR_RETURN(const Connection connection, context.Connect());
  engine::TopRequest request;
  request.set_container(words[0]);
  for (size_t i = 1; i < words.size(); ++i) request.add_ps_arguments(words[i]);
  BERTH_ASSIGN_OR_RETURN(const engine::TopResponse response, EngineClient(connection).Top(request));
  std::string text = absl::StrCat(absl::StrJoin(response.titles(), "\t"), "\n");
  for (const engine::TopResponse::Process& process : response.processes()) {
    absl::StrAppend(&text, absl::StrJoin(process.fields(), "\t"), "\n");
  }
  PrintText(AlignTabs(text));
  return kExitOk;
}

std::string AddressOf(const engine::PortResponse::Port& port) {
  const bool is_v6 = absl::StrContains(port.host_ip(), ':');
  return absl::StrCat(is_v6 ? "[" : "", port.host_ip(), is_v6 ? "]" : "", ":", port.host_port());
}

absl::StatusOr<int> ShowPorts(const Context& context, const Words& words) {
  BERTH_ASSIGN_OR_RETURN(const Connection connection, context.Connect());
  BERTH_ASSIGN_OR_RETURN(const engine::PortResponse response,
                         EngineClient(connection).Port(words[0]));
  if (words.size() == 1) {
    for (const engine::PortResponse::Port& port : response.ports()) {
      PrintText(absl::StrCat(port.container_port(), " -> ", AddressOf(port), "\n"));
    }
    return kExitOk;
  }
  const std::string wanted =
      absl::StrContains(words[1], '/') ? words[1] : absl::StrCat(words[1], "/tcp");
  bool is_found = false;
  for (const engine::PortResponse::Port& port : response.ports()) {
    if (port.container_port() != wanted) continue;
    PrintText(absl::StrCat(AddressOf(port), "\n"));
    is_found = true;
  }
  if (is_found) return kExitOk;
  return absl::NotFoundError(
      absl::StrCat("no public port '", wanted, "' published for ", words[0]));
}

absl::StatusOr<int> ShowChanges(const Context& context, const Words& words) {
  BERTH_ASSIGN_OR_RETURN(const Connection connection, context.Connect());
  BERTH_ASSIGN_OR_RETURN(const engine::DiffContainerResponse response,
                         EngineClient(connection).Diff(words[0]));
  for (const engine::DiffContainerResponse::Change& change : response.changes()) {
    const char* kind = change.kind() == engine::DiffContainerResponse::KIND_ADDED     ? "A"
                       : change.kind() == engine::DiffContainerResponse::KIND_DELETED ? "D"
                                                                                      : "C";
    PrintText(absl::StrCat(kind, " ", change.path(), "\n"));
  }
  return kExitOk;
}

}  // namespace

void AddLookVerbs(Command parent, const Context& context) {
  auto words = std::make_shared<Words>();
  parent.Add("top", "Show the processes of a container")
      .Rest({"CONTAINER [PS_OPTION...]", 1, -1, OptionPlace::kBeforeArguments}, *words)
      .Examples("  berth top web\n  berth top web -o pid,user,args\n")
      .Do([&context, words] { return ShowProcesses(context, *words); });
  parent.Add("port", "Show the published ports of a container")
      .Rest({"CONTAINER [PORT[/PROTOCOL]]", 1, 2}, *words)
      .Examples("  berth port web\n  berth port web 80/tcp\n")
      .Do([&context, words] { return ShowPorts(context, *words); });
  parent.Add("diff", "Show which files of a container differ from its image")
      .Description("A: added, C: changed, D: deleted.")
      .Rest({"CONTAINER", 1, 1}, *words)
      .Examples("  berth diff web\n")
      .Do([&context, words] { return ShowChanges(context, *words); });
}

}  // namespace berth::client
