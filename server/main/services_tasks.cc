#include <map>
#include <memory>
#include <string>
#include <utility>

#include "server/api/care_service.h"
#include "server/api/events_service.h"
#include "server/api/tasks_service.h"
#include "server/engine/engine.h"
#include "server/main/config.h"
#include "server/main/services.h"
#include "server/main/storage.h"
#include "server/metadata/layer_check.h"

namespace berth {

void AddTaskServices(const ServiceParts& parts, NamedServices& services) {
  services.push_back({"events", std::make_unique<EventsService>(parts.exchange, parts.executor)});
  services.push_back({"tasks", std::make_unique<TasksService>(parts.tasks, parts.operations)});
  Storage& storage = parts.storage;
  std::map<std::string, std::string> roots;
  for (const SnapshotterPlugin& plugin : storage.snapshotter_plugins()) {
    if (plugin.error.empty()) roots.emplace(plugin.name, plugin.root);
  }
  services.push_back({"care", std::make_unique<CareService>(CareService::Parts{
                                  .content = storage.content(),
                                  .namespaces = storage.namespaces(),
                                  .layers = std::make_unique<metadata::LayerCheck>(
                                      storage.database(), storage.snapshots(), std::move(roots)),
                                  .operations = parts.operations,
                                  .state = parts.config.state,
                                  .executor = parts.executor,
                                  .tasks = parts.tasks,
                                  .resolve = [&engine = parts.engine](const std::string& ns,
                                                                      const std::string& text) {
                                    return engine.table().Resolve(ns, text);
                                  }})});
}

}  // namespace berth
