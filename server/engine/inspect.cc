#include "server/engine/inspect.h"

#include <utility>

#include "absl/strings/str_split.h"
#include "server/engine/engine.h"
#include "server/engine/inspect_document.h"
#include "server/engine/sizes.h"
#include "server/metadata/snapshot_store.h"
#include "server/task/task_manager.h"

namespace berth::engine {
namespace {

constexpr absl::Duration kStatusTimeout = absl::Seconds(2);

// Docker's names for the directories of an overlay.
void AddGraphData(Engine& engine, const ContainerKey& key, InspectInput& input) {
  const auto mounts = engine.parts().snapshots.GetMounts(metadata::Caller{key.ns},
                                                         input.container.snapshotter(), key.id);
  if (!mounts.ok() || mounts->size() != 1) return;
  for (const std::string& option : mounts->front().options) {
    const std::pair<std::string, std::string> parts =
        absl::StrSplit(option, absl::MaxSplits('=', 1));
    if (parts.first == "lowerdir") input.graph_data.emplace_back("LowerDir", parts.second);
    if (parts.first == "upperdir") input.graph_data.emplace_back("UpperDir", parts.second);
    if (parts.first == "workdir") input.graph_data.emplace_back("WorkDir", parts.second);
  }
}

}  // namespace

Async<absl::StatusOr<v1::InspectContainerResponse>> InspectContainer(
    Engine& engine, ContainerKey key, v1::InspectContainerRequest request) {
  InspectInput input;
  input.id = key.id;
  BERTH_CO_ASSIGN_OR_RETURN(input.container, engine.records().Load(key));
  AddGraphData(engine, key, input);
  if (request.size()) {
    input.size_rw_bytes = WritableBytes(engine, key);
    input.size_root_bytes = *input.size_rw_bytes + ImageBytes(engine, key);
  }
  if (input.container.state().pid() > 0) {
    AwaitCall<shim::v1::GetStatusResponse> asking(engine.parts().executor, [&](auto done) {
      engine.parts().tasks.life().GetStatus({key.ns, key.id}, kStatusTimeout, std::move(done));
    });
    const absl::StatusOr<shim::v1::GetStatusResponse> status = co_await asking;
    if (status.ok()) {
      input.container.mutable_state()->set_restart_count(status->restarts());
      if (status->has_health()) input.health = status->health();
    }
  }
  v1::InspectContainerResponse response;
  response.set_json(InspectDocument(input));
  co_return response;
}

void AddSizes(Engine& engine, const std::string& ns, v1::ContainerSummary& container) {
  const ContainerKey key{ns, container.id()};
  container.set_size_rw_bytes(WritableBytes(engine, key));
  container.set_size_root_bytes(container.size_rw_bytes() + ImageBytes(engine, key));
}

}  // namespace berth::engine
