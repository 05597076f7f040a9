#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "server/api/health_service.h"
#include "server/api/introspection_service.h"
#include "server/api/version_service.h"
#include "server/main/config.h"
#include "server/main/plugin_list.h"
#include "server/main/services.h"
#include "server/main/storage.h"
#include "server/main/version.h"

namespace berth {

HealthService* AddFactServices(const ServiceParts& parts, NamedServices& services) {
  services.push_back({"version", std::make_unique<VersionService>(kBerthVersion, "")});
  auto health = std::make_unique<HealthService>(std::vector<std::string>());
  HealthService* const result = health.get();
  services.push_back({"healthcheck", std::move(health)});

  PluginFacts facts;
  facts.root = parts.config.root;
  facts.snapshotters = parts.storage.snapshotter_plugins();
  for (const NamedService& service : services) facts.services.push_back(service.plugin);
  facts.services.push_back("introspection");
  services.push_back({"introspection", std::make_unique<IntrospectionService>(
                                           ListPlugins(facts), parts.identity, parts.executor)});
  return result;
}

}  // namespace berth
