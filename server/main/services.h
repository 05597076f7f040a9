// Makes the daemon's gRPC services. Each group has a source of its own, so that a change to one
// service compiles that group alone: generated gRPC code is most of the daemon's build time.
//
// Thread-safe functions; what they make borrows everything named in ServiceParts.
#ifndef BERTH_SERVER_MAIN_SERVICES_H_
#define BERTH_SERVER_MAIN_SERVICES_H_

#include <memory>
#include <string>
#include <vector>

#include "base/grpc/page_stream.h"

namespace grpc {
class Service;
}  // namespace grpc

namespace berth {

namespace engine {
class Engine;
}  // namespace engine
namespace worker {
class WorkerClient;
}  // namespace worker

class Exchange;
class Executor;
class HealthService;
class ImageEngine;
class Operations;
class Storage;
class TaskManager;
struct Config;
struct ServerIdentity;

struct ServiceParts {
  const Config& config;
  const ServerIdentity& identity;
  Executor& executor;  // for what may wait for a disk
  Exchange& exchange;
  Storage& storage;
  TaskManager& tasks;
  worker::WorkerClient& worker;
  engine::Engine& engine;
  ImageEngine& images;
  std::shared_ptr<Operations> operations = nullptr;  // ApiServer makes it
};

struct NamedService {
  std::string plugin;  // the id under which clients find it in the list of plugins
  std::unique_ptr<grpc::Service> service;
  std::vector<PageStreams::Method> page_streams = {};
};
using NamedServices = std::vector<NamedService>;

// Each appends its services.
// services_records.cc: containers, images, leases, namespaces.
void AddRecordServices(const ServiceParts& parts, NamedServices& services);
// services_store.cc: content, diff, snapshots.
void AddStoreServices(const ServiceParts& parts, NamedServices& services);
// services_tasks.cc: care, events, tasks.
void AddTaskServices(const ServiceParts& parts, NamedServices& services);
// services_engine.cc: the Docker-style engine.
void AddEngineServices(const ServiceParts& parts, NamedServices& services);
// services_images.cc: registries, streaming, transfer.
void AddImageServices(const ServiceParts& parts, NamedServices& services);
// services_facts.cc: version, healthcheck and introspection, which lists all that are in
// `services`: last. Returns the health service, which `services` holds.
HealthService* AddFactServices(const ServiceParts& parts, NamedServices& services);

}  // namespace berth

#endif  // BERTH_SERVER_MAIN_SERVICES_H_
