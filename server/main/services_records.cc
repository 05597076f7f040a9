#include <memory>
#include <string>
#include <utility>

#include "server/api/containers_service.h"
#include "server/api/images_service.h"
#include "server/api/leases_service.h"
#include "server/api/namespaces_service.h"
#include "server/events/exchange.h"
#include "server/main/services.h"
#include "server/main/storage.h"
#include "server/task/task_manager.h"

namespace berth {
namespace {

// For a shim to take a policy; one that does not answer must not hold up its record's client.
constexpr absl::Duration kPolicyTimeout = absl::Seconds(5);

}  // namespace

void AddRecordServices(const ServiceParts& parts, NamedServices& services) {
  Storage& storage = parts.storage;
  auto containers = std::make_unique<ContainersService>(
      storage.containers(), parts.exchange, parts.executor,
      [&tasks = parts.tasks](const std::string& ns,
                             const containerd::services::containers::v1::Container& container,
                             absl::AnyInvocable<void(absl::Status)> done) {
        tasks.life().ApplyLabels({ns, container.id()}, container.labels(), kPolicyTimeout,
                                 std::move(done));
      });
  const PageStreams::Method list_stream = containers->ListStreamMethod();
  services.push_back({"containers", std::move(containers), {list_stream}});
  services.push_back(
      {"images", std::make_unique<ImagesService>(storage.images(), parts.exchange,
                                                 storage.collector(), parts.executor)});
  services.push_back({"leases", std::make_unique<LeasesService>(
                                    storage.leases(), storage.collector(), parts.executor)});
  services.push_back({"namespaces", std::make_unique<NamespacesService>(
                                        storage.namespaces(), parts.exchange, parts.executor)});
}

}  // namespace berth
