#include "client/commands/object_names.h"

#include "client/sdk/engine_client.h"
#include "client/sdk/image_client.h"

namespace berth::client {

std::vector<std::string> NamesOfObjects(const Context& context, absl::string_view kind) {
  std::vector<std::string> names;
  if (kind != "CONTAINER" && kind != "IMAGE" && kind != "VOLUME") return names;
  const absl::StatusOr<Connection> connection = context.Connect();
  if (!connection.ok()) return names;
  const EngineClient client(*connection);
  if (kind == "CONTAINER") {
    engine::ListContainersRequest request;
    request.set_all(true);
    const absl::Status listed = client.List(request, [&](const engine::ContainerSummary& one) {
      names.insert(names.end(), one.names().begin(), one.names().end());
    });
    if (!listed.ok()) return {};
  } else if (kind == "IMAGE") {
    const auto images = ImageClient(*connection).List({});
    if (!images.ok()) return names;
    for (const auto& image : *images) names.push_back(image.name());
  } else {
    const auto volumes = client.ListVolumes(engine::ListVolumesRequest());
    if (!volumes.ok()) return names;
    for (const engine::Volume& volume : volumes->volumes()) names.push_back(volume.name());
  }
  return names;
}

}  // namespace berth::client
