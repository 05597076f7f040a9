#include "server/main/image_engine.h"

namespace berth {
namespace {

image::LayerPolicy LayersOf(const Config& config) {
  return config.image.compressed_layers == "drop" ? image::LayerPolicy::kDropUnpacked
                                                  : image::LayerPolicy::kKeep;
}

}  // namespace

ImageEngine::ImageEngine(const Inputs& inputs)
    : catalog_({.images = inputs.storage.images(),
                .containers = inputs.storage.containers(),
                .snapshots = inputs.storage.snapshots(),
                .content = inputs.storage.content(),
                .events = inputs.exchange}),
      unpacker_({.snapshots = inputs.storage.snapshots(),
                 .leases = inputs.storage.leases(),
                 .content = inputs.storage.content(),
                 .worker = inputs.worker,
                 .executor = inputs.executor,
                 .events = inputs.exchange,
                 .layers = LayersOf(inputs.config)}),
      importer_({.catalog = catalog_,
                 .unpacker = unpacker_,
                 .content = inputs.storage.content(),
                 .leases = inputs.storage.leases(),
                 .worker = inputs.worker,
                 .executor = inputs.executor}),
      exporter_(catalog_, inputs.storage.content()),
      puller_({.catalog = catalog_,
               .unpacker = unpacker_,
               .content = inputs.storage.content(),
               .leases = inputs.storage.leases(),
               .worker = inputs.worker,
               .executor = inputs.executor,
               .loop = inputs.loop,
               .layers = LayersOf(inputs.config)}),
      converter_({.catalog = catalog_,
                  .content = inputs.storage.content(),
                  .leases = inputs.storage.leases(),
                  .worker = inputs.worker,
                  .executor = inputs.executor}) {}

}  // namespace berth
