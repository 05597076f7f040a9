// Everything that the daemon does with images, built over its stores: finding, unpacking, moving
// them in and out.
//
// Invariant: members stand in the order of their dependencies. Thread-safe parts; owned by Daemon,
// which stops the worker and the executor, and thereby what runs, before this goes.
#ifndef BERTH_SERVER_MAIN_IMAGE_ENGINE_H_
#define BERTH_SERVER_MAIN_IMAGE_ENGINE_H_

#include "base/grpc/executor.h"
#include "base/loop/loop.h"
#include "server/events/exchange.h"
#include "server/image/image_catalog.h"
#include "server/image/image_converter.h"
#include "server/image/image_exporter.h"
#include "server/image/image_importer.h"
#include "server/image/image_puller.h"
#include "server/image/image_unpacker.h"
#include "server/image/message_stream.h"
#include "server/main/config.h"
#include "server/main/storage.h"
#include "server/worker/client/worker_client.h"

namespace berth {

class ImageEngine {
 public:
  struct Inputs {
    const Config& config;
    Storage& storage;
    Exchange& exchange;
    worker::WorkerClient& worker;
    Executor& executor;
    Loop& loop;
  };
  explicit ImageEngine(const Inputs& inputs);
  ImageEngine(const ImageEngine&) = delete;
  ImageEngine& operator=(const ImageEngine&) = delete;

  image::StreamTable& streams() { return streams_; }
  image::ImageCatalog& catalog() { return catalog_; }
  image::ImageUnpacker& unpacker() { return unpacker_; }
  image::ImageImporter& importer() { return importer_; }
  image::ImageExporter& exporter() { return exporter_; }
  image::ImagePuller& puller() { return puller_; }
  image::ImageConverter& converter() { return converter_; }

 private:
  image::StreamTable streams_;
  image::ImageCatalog catalog_;
  image::ImageUnpacker unpacker_;
  image::ImageImporter importer_;
  image::ImageExporter exporter_;
  image::ImagePuller puller_;
  image::ImageConverter converter_;
};

}  // namespace berth

#endif  // BERTH_SERVER_MAIN_IMAGE_ENGINE_H_
