// The calls of the engine's service that look: processes, figures, changes, the system.
#include <algorithm>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/time/clock.h"
#include "base/grpc/server_stream.h"
#include "base/grpc/unary.h"
#include "base/status/status_macros.h"
#include "proto/containerd/services/tasks/v1/tasks.pb.h"
#include "server/api/caller_of.h"
#include "server/api/engine_calls.h"
#include "server/api/engine_service.h"
#include "server/engine/process_list.h"
#include "server/engine/root_diff.h"
#include "server/engine/system_facts.h"
#include "server/engine/task_metrics.h"
#include "server/metadata/record.h"
#include "server/metadata/snapshot_store.h"
#include "server/task/task_manager.h"

namespace berth {
namespace {

namespace v1 = engine::v1;
namespace tasks = containerd::services::tasks::v1;
using engine::ContainerKey;

constexpr absl::Duration kRound = absl::Seconds(1);
// Rounds that a slow client may be behind.
constexpr size_t kStatsQueue = 60;

engine::Async<absl::StatusOr<v1::TopResponse>> Top(engine::Engine& engine, ContainerKey key,
                                                   v1::TopRequest request) {
  BERTH_CO_ASSIGN_OR_RETURN(const v1::Container container, engine.records().Load(key));
  if (container.state().pid() == 0) {
    co_return absl::FailedPreconditionError(absl::StrCat("container ", key.id, " is not running"));
  }
  tasks::ListPidsRequest list;
  list.set_container_id(key.id);
  engine::AwaitCall<tasks::ListPidsResponse> asking(engine.parts().executor, [&](auto done) {
    engine.parts().tasks.ListPids({.ns = key.ns}, list, std::move(done));
  });
  const absl::StatusOr<tasks::ListPidsResponse> answer = co_await asking;
  if (!answer.ok()) co_return answer.status();
  std::set<uint32_t> pids;
  for (const auto& process : answer->processes()) pids.insert(process.pid());
  const std::vector<std::string> arguments(request.ps_arguments().begin(),
                                           request.ps_arguments().end());
  co_return engine::ListProcesses(arguments, pids);
}

// Samples in rounds, each on the executor, until the client goes.
class StatsRounds : public std::enable_shared_from_this<StatsRounds> {
 public:
  StatsRounds(engine::Engine& engine, CallInfo call, v1::StatsRequest request,
              StreamSink<v1::StatsResponse> sink)
      : engine_(engine), call_(std::move(call)), request_(std::move(request)), sink_(sink) {}

  void Next() {
    auto self = shared_from_this();
    engine_.parts().executor.PostContinuation([self] {
      absl::AnyInvocable<void(absl::Status)> done = [self](const absl::Status& status) {
        if (!status.ok()) self->sink_.Close(status);
      };
      engine::Begin<absl::Status>(Round(self), std::move(done));
    });
  }

 private:
  absl::StatusOr<std::vector<v1::ContainerSummary>> Chosen() {
    BERTH_ASSIGN_OR_RETURN(auto all, engine_.table().List(call_.ns));
    if (request_.containers().empty()) {
      std::erase_if(all, [&](const v1::ContainerSummary& container) {
        return !request_.all() && container.state().pid() == 0;
      });
      return all;
    }
    std::vector<v1::ContainerSummary> chosen;
    for (const std::string& name : request_.containers()) {
      BERTH_ASSIGN_OR_RETURN(const std::string id, engine_.table().Resolve(call_.ns, name));
      for (const v1::ContainerSummary& container : all) {
        if (container.id() == id) chosen.push_back(container);
      }
    }
    return chosen;
  }

  static engine::Async<absl::Status> Round(std::shared_ptr<StatsRounds> self) {
    if (self->call_.cancelled()) co_return absl::CancelledError("the client went away");
    const absl::StatusOr<std::vector<v1::ContainerSummary>> chosen = self->Chosen();
    if (!chosen.ok()) co_return chosen.status();
    tasks::MetricsRequest request;
    for (const v1::ContainerSummary& container : *chosen) {
      if (container.state().pid() != 0) request.add_filters("id==" + container.id());
    }
    absl::flat_hash_map<std::string, google::protobuf::Any> metrics;
    if (request.filters_size() > 0) {
      engine::AwaitCall<tasks::MetricsResponse> asking(
          self->engine_.parts().executor, [&](auto done) {
            self->engine_.parts().tasks.Metrics({.ns = self->call_.ns}, request, std::move(done));
          });
      const absl::StatusOr<tasks::MetricsResponse> answer = co_await asking;
      if (!answer.ok()) co_return answer.status();
      for (const auto& metric : answer->metrics()) metrics[metric.id()] = metric.data();
    }
    v1::StatsResponse response;
    absl::flat_hash_map<std::string, v1::ContainerStats> samples;
    for (const v1::ContainerSummary& container : *chosen) {
      v1::ContainerStats& stats = *response.add_containers();
      stats.set_id(container.id());
      if (container.names_size() > 0) stats.set_name(container.names(0));
      *stats.mutable_read_at() = metadata::ToTimestamp(absl::Now());
      const auto found = metrics.find(container.id());
      if (found == metrics.end()) continue;
      stats.set_running(true);
      engine::ReadMetrics(found->second, self->memory_, stats);
      engine::ReadNetwork(static_cast<int>(container.state().pid()), stats);
      const auto previous = self->previous_.find(container.id());
      if (previous != self->previous_.end()) engine::Compare(previous->second, stats);
      samples[container.id()] = stats;
    }
    self->previous_ = std::move(samples);
    // The first round has nothing to compare with: one that is asked for once waits for the second.
    const bool is_first = std::exchange(self->is_first_, false);
    const bool shows = !is_first || (self->request_.once() ? metrics.empty() : true);
    if (shows && !self->sink_.Push(std::move(response))) co_return absl::OkStatus();
    if (shows && self->request_.once()) {
      self->sink_.Close(absl::OkStatus());
      co_return absl::OkStatus();
    }
    self->engine_.lifecycle().RunAfter(kRound, [self] { self->Next(); });
    co_return absl::OkStatus();
  }

  engine::Engine& engine_;
  const CallInfo call_;
  const v1::StatsRequest request_;
  const StreamSink<v1::StatsResponse> sink_;
  const uint64_t memory_ = engine::MachineMemory();
  absl::flat_hash_map<std::string, v1::ContainerStats> previous_;
  bool is_first_ = true;
};

}  // namespace

EngineService::Reactor* EngineService::Top(Context* context, const v1::TopRequest* request,
                                           v1::TopResponse* response) {
  return ContainerCall(context, executor_, engine_.table(), request, response,
                       [this](ContainerKey key, v1::TopRequest request) {
                         return berth::Top(engine_, std::move(key), std::move(request));
                       });
}

grpc::ServerWriteReactor<v1::StatsResponse>* EngineService::Stats(Context* context,
                                                                  const v1::StatsRequest* request) {
  return PushStream<v1::StatsResponse>(
      context, request, kStatsQueue,
      [this](const CallInfo& call, const v1::StatsRequest& request,
             StreamSink<v1::StatsResponse> sink) -> absl::Status {
        BERTH_RETURN_IF_ERROR(call.RequireNamespace());
        std::make_shared<StatsRounds>(engine_, call, request, std::move(sink))->Next();
        return absl::OkStatus();
      });
}

EngineService::Reactor* EngineService::Port(Context* context, const v1::PortRequest* request,
                                            v1::PortResponse* response) {
  return Unary(
      context, executor_, request, response,
      WithCaller([this](const CallInfo&, const metadata::Caller& caller,
                        const v1::PortRequest& request) -> absl::StatusOr<v1::PortResponse> {
        // Nothing is published until there are networks.
        BERTH_RETURN_IF_ERROR(engine_.table().Resolve(caller.ns, request.container()).status());
        return v1::PortResponse();
      }));
}

EngineService::Reactor* EngineService::DiffContainer(Context* context,
                                                     const v1::DiffContainerRequest* request,
                                                     v1::DiffContainerResponse* response) {
  return Unary(context, executor_, request, response,
               WithCaller([this](const CallInfo&, const metadata::Caller& caller,
                                 const v1::DiffContainerRequest& request)
                              -> absl::StatusOr<v1::DiffContainerResponse> {
                 BERTH_ASSIGN_OR_RETURN(const std::string id,
                                        engine_.table().Resolve(caller.ns, request.container()));
                 BERTH_ASSIGN_OR_RETURN(const v1::Container container,
                                        engine_.records().Load({caller.ns, id}));
                 BERTH_ASSIGN_OR_RETURN(
                     const auto mounts,
                     engine_.parts().snapshots.GetMounts(caller, container.snapshotter(), id));
                 return engine::DiffRoot(mounts);
               }));
}

EngineService::Reactor* EngineService::Info(Context* context, const v1::InfoRequest* request,
                                            v1::InfoResponse* response) {
  return Unary(
      context, executor_, request, response,
      WithCaller([this](const CallInfo&, const metadata::Caller& caller, const v1::InfoRequest&) {
        return engine::DescribeEngine(engine_, caller.ns);
      }));
}

EngineService::Reactor* EngineService::EngineVersion(Context* context,
                                                     const v1::EngineVersionRequest* request,
                                                     v1::EngineVersionResponse* response) {
  return Unary(
      context, executor_, request, response,
      [this](const CallInfo&,
             const v1::EngineVersionRequest&) -> absl::StatusOr<v1::EngineVersionResponse> {
        return engine::DescribeVersion(engine_);
      });
}

EngineService::Reactor* EngineService::DiskUsage(Context* context,
                                                 const v1::DiskUsageRequest* request,
                                                 v1::DiskUsageResponse* response) {
  return Unary(context, executor_, request, response,
               WithCaller([this](const CallInfo&, const metadata::Caller& caller,
                                 const v1::DiskUsageRequest& request) {
                 return engine::MeasureDisk(engine_, caller.ns, request);
               }));
}

EngineService::Reactor* EngineService::PruneImages(Context* context,
                                                   const v1::PruneImagesRequest* request,
                                                   v1::PruneImagesResponse* response) {
  return Unary(context, executor_, request, response,
               WithCaller([this](const CallInfo&, const metadata::Caller& caller,
                                 const v1::PruneImagesRequest& request) {
                 return engine::PruneImages(engine_, caller.ns, request);
               }));
}

}  // namespace berth
