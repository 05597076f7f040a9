#include <memory>

#include "server/api/content_service.h"
#include "server/api/diff_service.h"
#include "server/api/snapshots_service.h"
#include "server/events/exchange.h"
#include "server/main/services.h"
#include "server/main/storage.h"

namespace berth {

void AddStoreServices(const ServiceParts& parts, NamedServices& services) {
  Storage& storage = parts.storage;
  services.push_back(
      {"content", std::make_unique<ContentService>(storage.content(), parts.executor)});
  services.push_back(
      {"diff", std::make_unique<DiffService>(storage.content(), parts.worker, parts.executor)});
  services.push_back({"snapshots", std::make_unique<SnapshotsService>(
                                       storage.snapshots(), parts.exchange, parts.executor)});
}

}  // namespace berth
