// berth shim upgrade: the shims of running containers become another program.
#include <stdlib.h>

#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status/status_macros.h"
#include "client/commands/listing.h"
#include "client/docker/docker_verbs.h"
#include "client/sdk/care_client.h"
#include "client/sdk/task_client.h"

namespace berth::client {
namespace {

struct UpgradeArguments {
  bool all = false;
  bool check_only = false;
  std::string program;
  std::vector<std::string> rest;  // containers
};

absl::StatusOr<std::string> AbsolutePath(const std::string& path) {
  if (path.empty() || path[0] == '/') return path;
  const std::unique_ptr<char, void (*)(void*)> whole(::realpath(path.c_str(), nullptr), ::free);
  if (whole == nullptr) return absl::NotFoundError(absl::StrCat("there is no program ", path));
  return std::string(whole.get());
}

absl::StatusOr<int> UpgradeShims(const Context& context, const UpgradeArguments& arguments) {
  if (arguments.all != arguments.rest.empty()) {
    return absl::InvalidArgumentError("name containers, or say --all, and not both");
  }
  BERTH_ASSIGN_OR_RETURN(const std::string program, AbsolutePath(arguments.program));
  BERTH_ASSIGN_OR_RETURN(const Connection connection, context.Connect());
  std::vector<std::string> containers = arguments.rest;
  if (arguments.all) {
    BERTH_ASSIGN_OR_RETURN(const auto tasks, TaskClient(connection).List());
    for (const auto& task : tasks) containers.push_back(task.id());
  }
  const CareClient care(connection);
  int exit_code = kExitOk;
  // One after the other: the first that goes wrong is seen before the last is touched.
  for (const std::string& container : containers) {
    care::v1::UpgradeShimRequest request;
    request.set_container(container);
    request.set_program(program);
    request.set_check_only(arguments.check_only);
    const auto response = care.UpgradeShim(request);
    if (!response.ok()) {
      std::fprintf(stderr, "berth shim upgrade: %s: %s\n", container.c_str(),
                   std::string(response.status().message()).c_str());
      exit_code = kExitFailure;
      continue;
    }
    PrintText(absl::StrCat(container, ": ", response->old_version(),
                           arguments.check_only ? " could become " : " -> ",
                           response->new_version(), "\n"));
  }
  return exit_code;
}

}  // namespace

void AddShim(Command root, const Context& context) {
  Command shim = root.Add("shim", "Look after the shims of running containers");
  auto arguments = std::make_shared<UpgradeArguments>();
  shim.Add("upgrade", "Put a new program into running shims; containers do not notice")
      .Flag("--all", arguments->all, "All shims of the namespace")
      .Flag("--check", arguments->check_only, "Only ask the program whether it could take over")
      .Option("--program PATH", arguments->program,
              "The program, a file of the server's host (default: what it starts for new "
              "containers)")
      .Rest({"[CONTAINER...]", 0, -1}, arguments->rest)
      .Description(
          "The new program first looks at what it would take, as a process of its own; one that\n"
          "cannot take it is never put in, and nothing changes.")
      .Examples(
          "  berth shim upgrade --all\n"
          "  berth shim upgrade --program /usr/lib/berth/berth-shim web\n")
      .Do([&context, arguments] { return UpgradeShims(context, *arguments); });
}

}  // namespace berth::client
