#include "server/engine/engine.h"

#include <fcntl.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/log/logger.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "base/status/status_macros.h"
#include "server/events/exchange.h"

namespace berth::engine {

Engine::Engine(EngineParts parts)
    : parts_(std::move(parts)),
      table_(parts_.database),
      records_(parts_, table_),
      events_(parts_.database),
      volumes_(parts_.database, events_, parts_.root + "/volumes"),
      lifecycle_({parts_, table_, records_, events_, volumes_}),
      creator_({parts_, table_, records_, volumes_, lifecycle_}),
      execs_(parts_, records_, lifecycle_),
      log_watch_(parts_.loop) {
  lifecycle_.set_on_task_created([this](const ContainerKey& key, absl::AnyInvocable<void()> ready) {
    attachments_.OnTaskCreated(key, std::move(ready));
  });
  lifecycle_.set_on_exec_end([this](const ContainerKey& key, const std::string& exec_id,
                                    const TaskEndNews& end) { execs_.OnEnd(key, exec_id, end); });
}

Engine::~Engine() = default;

absl::Status Engine::SweepDirectories() {
  const std::string top = parts_.root + "/containers";
  BERTH_RETURN_IF_ERROR(EnsureDirectory(top, 0711));
  BERTH_ASSIGN_OR_RETURN(const UniqueFd root, OpenFile(top, O_RDONLY | O_DIRECTORY));
  BERTH_ASSIGN_OR_RETURN(const auto namespaces, ListDirectory(root));
  for (const std::string& ns : namespaces) {
    const auto directory = OpenAt(root, ns, O_RDONLY | O_DIRECTORY);
    if (!directory.ok()) continue;  // a file of ours
    BERTH_ASSIGN_OR_RETURN(const auto ids, ListDirectory(*directory));
    for (const std::string& id : ids) {
      if (absl::IsNotFound(table_.Get({ns, id}).status())) {
        BERTH_RETURN_IF_ERROR(RemoveTreeAt(*directory, id));
      }
    }
  }
  return absl::OkStatus();
}

absl::Status Engine::Begin(std::shared_ptr<Subscription> subscription) {
  BERTH_RETURN_IF_ERROR(table_.Sweep());
  for (const absl::Status& swept : {SweepDirectories(), volumes_.Sweep()}) {
    if (swept.ok()) continue;
    parts_.log.Warning("ignoring that something is left of containers that are no more",
                       {{"error", swept}});
  }
  lifecycle_.Begin(std::move(subscription));
  return absl::OkStatus();
}

}  // namespace berth::engine
