#include "client/commands/image_pull.h"

#include <cstdio>

#include "absl/strings/str_cat.h"
#include "base/status/status_macros.h"
#include "client/commands/snapshotter_choice.h"
#include "client/sdk/docker_config.h"

namespace berth::client {

absl::Status PullImage(const Context& context, const ImagePull& pull) {
  BERTH_ASSIGN_OR_RETURN(const Connection connection, context.Connect());
  TransferDisplay display(pull.style);
  PullOptions options;
  options.reference = pull.reference.Full();
  options.choice = pull.choice;
  options.reach = pull.reach;
  if (pull.unpack == ImagePull::Unpack::kNow) {
    options.snapshotter = ChooseSnapshotter(connection, context.options().snapshotter);
  }
  options.credentials = LoginsOf(pull.reference.host());
  options.on_step = display.on_step();
  const absl::Status pulled = TransferClient(connection).Pull(options);
  display.Finish();
  return ExplainTransfer(pulled, pull.reference.host());
}

OnCredentials LoginsOf(const std::string& registry) {
  return [registry](const std::string&) -> RegistryLogin {
    const absl::StatusOr<DockerConfig> config = DockerConfig::Load(DockerConfig::DefaultPath());
    absl::StatusOr<RegistryLogin> login =
        config.ok() ? config->Find(registry) : absl::StatusOr<RegistryLogin>(config.status());
    if (login.ok()) return *std::move(login);
    std::fprintf(stderr, "berth: going on without a login: %s\n",
                 std::string(login.status().message()).c_str());
    return RegistryLogin();
  };
}

absl::Status ExplainTransfer(const absl::Status& status, const std::string& host) {
  if (absl::IsUnauthenticated(status) || absl::IsPermissionDenied(status)) {
    return absl::Status(status.code(), absl::StrCat(status.message(),
                                                    ". If the image is private: "
                                                    "`berth login ",
                                                    host, "`"));
  }
  if (absl::IsUnimplemented(status)) {
    return absl::UnimplementedError(absl::StrCat(
        "this server does not move images itself (no Transfer service): ", status.message()));
  }
  return status;
}

}  // namespace berth::client
