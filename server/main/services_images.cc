#include "server/api/image_forms_service.h"
#include "server/api/registries_service.h"
#include "server/api/streaming_service.h"
#include "server/api/transfer_service.h"
#include "server/main/image_engine.h"
#include "server/main/services.h"
#include "server/main/storage.h"

namespace berth {

void AddImageServices(const ServiceParts& parts, NamedServices& services) {
  ImageEngine& images = parts.images;
  services.push_back(
      {"registries", std::make_unique<RegistriesService>(parts.worker, parts.executor)});
  services.push_back({"image-forms", std::make_unique<ImageFormsService>(
                                         ImageFormsService::Parts{.catalog = images.catalog(),
                                                                  .converter = images.converter(),
                                                                  .unpacker = images.unpacker(),
                                                                  .executor = parts.executor})});
  services.push_back({"streaming", std::make_unique<StreamingService>(images.streams())});
  services.push_back({"transfer", std::make_unique<TransferService>(TransferService::Parts{
                                      .catalog = images.catalog(),
                                      .importer = images.importer(),
                                      .exporter = images.exporter(),
                                      .puller = images.puller(),
                                      .streams = images.streams(),
                                      .namespaces = parts.storage.namespaces(),
                                      .executor = parts.executor})});
}

}  // namespace berth
