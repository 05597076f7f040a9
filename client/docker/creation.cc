#include "client/docker/creation.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "base/status/status_macros.h"
#include "client/docker/missing_image.h"
#include "client/options/create_request.h"
#include "client/sdk/environment.h"

namespace berth::client {

absl::StatusOr<engine::CreateContainerResponse> CreateFromOptions(const Context& context,
                                                                  const EngineClient& client,
                                                                  const CreateOptions& options,
                                                                  const RequestChange& change) {
  std::error_code ignored;
  BERTH_ASSIGN_OR_RETURN(
      engine::CreateContainerRequest request,
      MakeCreateRequest(options, {.working_directory = std::filesystem::current_path(ignored),
                                  .environment = InheritedEnvironment()}));
  request.set_snapshotter(context.options().snapshotter);
  if (change != nullptr) change(request);
  UniqueFd id_file;
  if (!options.container_id_file.empty()) {
    // Made before the container, so that an older container's id is never overwritten.
    BERTH_ASSIGN_OR_RETURN(id_file,
                           OpenFile(options.container_id_file, O_WRONLY | O_CREAT | O_EXCL, 0644),
                           _ << "--cidfile (a container ID file must not be there before)");
  }
  const auto create = [&]() -> absl::StatusOr<engine::CreateContainerResponse> {
    const MissingImage missing = {options.words[0], options.platform, options.is_quiet};
    if (options.pull == "always") {
      BERTH_RETURN_IF_ERROR(PullMissing(context, missing));
    }
    absl::StatusOr<engine::CreateContainerResponse> created = client.Create(request);
    if (created.ok() || options.pull != "missing" || !IsMissingImage(created.status())) {
      return created;
    }
    std::fprintf(stderr, "Unable to find image '%s' locally\n", options.words[0].c_str());
    BERTH_RETURN_IF_ERROR(PullMissing(context, missing));
    return client.Create(request);
  };
  absl::StatusOr<engine::CreateContainerResponse> created = create();
  if (!created.ok()) {
    if (id_file.valid()) ::unlink(options.container_id_file.c_str());
    return created;
  }
  for (const std::string& warning : created->warnings()) {
    std::fprintf(stderr, "WARNING: %s\n", warning.c_str());
  }
  if (id_file.valid()) {
    BERTH_RETURN_IF_ERROR(WriteAll(id_file, created->id())) << "--cidfile";
  }
  return created;
}

int FailWith(absl::string_view verb, const absl::Status& status, int exit_code) {
  std::fprintf(stderr, "berth %s: %s\n", std::string(verb).c_str(),
               std::string(status.message()).c_str());
  return exit_code;
}

}  // namespace berth::client
