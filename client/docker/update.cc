// berth update: limits and the restart policy of containers that exist.
#include <cstdio>
#include <memory>
#include <set>

#include "absl/strings/str_cat.h"
#include "base/status/status_macros.h"
#include "client/commands/each.h"
#include "client/docker/docker_verbs.h"
#include "client/options/create_request.h"
#include "client/sdk/engine_client.h"

namespace berth::client {
namespace {

struct UpdateArguments {
  CreateOptions options;
  std::vector<std::string> rest;
};

absl::StatusOr<int> Update(const Context& context, UpdateArguments& arguments) {
  // The same words as of `create`, read by the same rules; the image is of no importance.
  arguments.options.words = {"-"};
  BERTH_ASSIGN_OR_RETURN(const engine::CreateContainerRequest wanted,
                         MakeCreateRequest(arguments.options, CreateSurroundings()));
  const engine::HostConfig& host = wanted.host_config();
  if (!host.has_restart_policy() && host.resources().ByteSizeLong() == 0) {
    return absl::InvalidArgumentError("nothing to change: name one limit or --restart at least");
  }
  BERTH_ASSIGN_OR_RETURN(const Connection connection, context.Connect());
  const EngineClient client(connection);
  return ForEach("update", arguments.rest, [&](const std::string& word) -> absl::Status {
    engine::UpdateContainerRequest request;
    request.set_container(word);
    *request.mutable_resources() = wanted.host_config().resources();
    if (wanted.host_config().has_restart_policy()) {
      *request.mutable_restart_policy() = wanted.host_config().restart_policy();
    }
    BERTH_ASSIGN_OR_RETURN(const engine::UpdateContainerResponse response, client.Update(request));
    for (const std::string& warning : response.warnings()) {
      std::fprintf(stderr, "WARNING: %s\n", warning.c_str());
    }
    return absl::OkStatus();
  });
}

}  // namespace

void AddUpdate(Command parent, const Context& context) {
  auto arguments = std::make_shared<UpdateArguments>();
  CreateOptions& o = arguments->options;
  parent.Add("update", "Change limits and the restart policy of containers")
      .Option("-m,--memory BYTES", o.memory, "Limit of memory: 64m, 1g")
      .Option("--memory-swap BYTES", o.memory_swap, "Limit of memory and swap; -1: no limit")
      .Option("--memory-reservation BYTES", o.memory_reservation, "Soft limit of memory")
      .Option("--cpus NUMBER", o.cpus, "Limit of processor time: 1.5")
      .Option("-c,--cpu-shares N", o.cpu_shares, "Weight against other containers")
      .Option("--cpu-quota N", o.cpu_quota, "Microseconds of processor time a period")
      .Option("--cpu-period N", o.cpu_period, "Length of the period in microseconds")
      .Option("--cpuset-cpus LIST", o.cpuset_cpus, "Processors to use: 0-3,5")
      .Option("--cpuset-mems LIST", o.cpuset_mems, "Memory nodes to use")
      .Option("--pids-limit N", o.pids_limit, "Limit of processes; -1: none")
      .Option("--blkio-weight N", o.blkio_weight, "Weight of block I/O, 10 to 1000")
      .Option("--restart POLICY", o.restart, "no, on-failure[:N], always or unless-stopped")
      .Rest({"CONTAINER [CONTAINER...]", 1, -1}, arguments->rest)
      .Examples("  berth update --memory 128m --cpus 0.5 web\n  berth update --restart always db\n")
      .Do([&context, arguments] { return Update(context, *arguments); });
}

}  // namespace berth::client
