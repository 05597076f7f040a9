#include <memory>

#include "server/api/containers_service.h"
#include "server/api/images_service.h"
#include "server/api/leases_service.h"
#include "server/api/namespaces_service.h"
#include "server/events/exchange.h"
#include "server/main/services.h"
#include "server/main/storage.h"

namespace berth {

void AddRecordServices(const ServiceParts& parts, NamedServices& services) {
  Storage& storage = parts.storage;
  services.push_back({"containers", std::make_unique<ContainersService>(
                                        storage.containers(), parts.exchange, parts.executor)});
  services.push_back(
      {"images", std::make_unique<ImagesService>(storage.images(), parts.exchange,
                                                 storage.collector(), parts.executor)});
  services.push_back({"leases", std::make_unique<LeasesService>(
                                    storage.leases(), storage.collector(), parts.executor)});
  services.push_back({"namespaces", std::make_unique<NamespacesService>(
                                        storage.namespaces(), parts.exchange, parts.executor)});
}

}  // namespace berth
