#include <memory>

#include "server/api/events_service.h"
#include "server/api/tasks_service.h"
#include "server/main/services.h"

namespace berth {

void AddTaskServices(const ServiceParts& parts, NamedServices& services) {
  services.push_back({"events", std::make_unique<EventsService>(parts.exchange)});
  services.push_back({"tasks", std::make_unique<TasksService>(parts.tasks)});
}

}  // namespace berth
