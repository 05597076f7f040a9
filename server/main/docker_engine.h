// The Docker-style engine of this daemon, over its stores and tasks.
//
// Invariant: it hears of every task event from before the tasks of earlier daemons are adopted:
// make it before they are, and Begin it after. Owned by Daemon; outlives the gRPC server and the
// tasks' loop.
#ifndef BERTH_SERVER_MAIN_DOCKER_ENGINE_H_
#define BERTH_SERVER_MAIN_DOCKER_ENGINE_H_

#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/os/mutex.h"

namespace berth {

class Exchange;
class Executor;
class Logger;
class Loop;
class Storage;
class Subscription;
class TaskManager;
struct Config;
namespace engine {
class Engine;
}  // namespace engine
namespace image {
class ImageCatalog;
class ImageUnpacker;
}  // namespace image

class DockerEngine {
 public:
  // Begins to listen.
  static absl::StatusOr<std::unique_ptr<DockerEngine>> Create(Exchange& exchange);
  ~DockerEngine();

  struct Inputs {
    const Config& config;
    Storage& storage;
    Exchange& exchange;
    image::ImageCatalog& catalog;
    image::ImageUnpacker& unpacker;
    TaskManager& tasks;
    Executor& executor;
    Loop& loop;
    const Logger& log;
  };
  // Blocks until records and tasks agree.
  absl::Status Begin(const Inputs& inputs);
  // The loop that it was given runs no more, and will be destroyed.
  void LoopEnded();
  engine::Engine& engine() { return *engine_; }
  // Before the server is stopped.
  void Leave();

 private:
  // What the subscription calls, also while and after the engine goes.
  struct Ear {
    Mutex mutex;
    engine::Engine* engine = nullptr;
  };
  DockerEngine();

  const std::shared_ptr<Ear> ear_;
  std::shared_ptr<Subscription> subscription_;
  std::unique_ptr<engine::Engine> engine_;
};

}  // namespace berth

#endif  // BERTH_SERVER_MAIN_DOCKER_ENGINE_H_
