#include <memory>

#include "server/api/engine_service.h"
#include "server/main/services.h"

namespace berth {

void AddEngineServices(const ServiceParts& parts, NamedServices& services) {
  services.push_back(
      {"engine", std::make_unique<EngineService>(parts.engine, parts.executor, parts.operations)});
}

}  // namespace berth
