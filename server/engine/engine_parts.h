// What the engine is built on: the layers below it, borrowed, and where things lie.
// A plain value; what it names outlives the engine.
#ifndef BERTH_SERVER_ENGINE_ENGINE_PARTS_H_
#define BERTH_SERVER_ENGINE_ENGINE_PARTS_H_

#include <string>

namespace berth {
class Exchange;
class Executor;
class Logger;
class Loop;
class TaskManager;
namespace content {
class ContentStore;
}  // namespace content
namespace image {
class ImageCatalog;
class ImageUnpacker;
}  // namespace image
namespace metadata {
class ContainerStore;
class LeaseStore;
class NamespaceStore;
class SnapshotStore;
}  // namespace metadata
namespace sqlite {
class Database;
}  // namespace sqlite
}  // namespace berth

namespace berth::engine {

struct EngineParts {
  sqlite::Database& database;
  metadata::ContainerStore& containers;
  metadata::SnapshotStore& snapshots;
  metadata::LeaseStore& leases;
  metadata::NamespaceStore& namespaces;
  image::ImageCatalog& images;
  image::ImageUnpacker& unpacker;
  TaskManager& tasks;
  Exchange& exchange;
  Executor& executor;
  Loop& loop;
  const Logger& log;
  std::string root;   // ROOT
  std::string state;  // STATE
  std::string version;
  std::string shim_program;  // a file
};

}  // namespace berth::engine

#endif  // BERTH_SERVER_ENGINE_ENGINE_PARTS_H_
