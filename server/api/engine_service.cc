#include "server/api/engine_service.h"

#include <memory>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "base/grpc/server_stream.h"
#include "base/grpc/unary.h"
#include "base/status/status_macros.h"
#include "server/api/attach_reactor.h"
#include "server/api/caller_of.h"
#include "server/api/copy_calls.h"
#include "server/api/engine_calls.h"
#include "server/api/logs_reactor.h"
#include "server/engine/container_list.h"
#include "server/engine/inspect.h"
#include "server/engine/prune.h"
#include "server/metadata/record.h"

namespace berth {
namespace {

namespace v1 = engine::v1;
using engine::ContainerKey;
using Context = EngineService::Context;
using Reactor = EngineService::Reactor;

// Of one message, well below what clients take (4 MiB).
constexpr size_t kListMessageBytes = 256 << 10;
constexpr size_t kEventQueue = 8192;

// Keeps the note of a call until its work is done.
template <typename Result>
engine::Async<Result> Noted(std::shared_ptr<void> note, engine::Async<Result> work) {
  co_return co_await work;
}

OperationInFlight Operation(const ContainerKey& key, const char* call) {
  return {
      .ns = key.ns, .container = key.id, .call = call, .order = CallOrder::kAtOnce, .began = {}};
}

}  // namespace

Reactor* EngineService::CreateContainer(Context* context, const v1::CreateContainerRequest* request,
                                        v1::CreateContainerResponse* response) {
  return EngineCall(context, executor_, request, response,
                    [this](const std::string& ns, v1::CreateContainerRequest request) {
                      return engine_.creator().Create(ns, std::move(request));
                    });
}

#define BERTH_CONTAINER_CALL(Method, Call)                                                    \
  Reactor* EngineService::Method(Context* context, const v1::Method##Request* request,        \
                                 v1::Method##Response* response) {                            \
    return ContainerCall(context, executor_, engine_.table(), request, response,              \
                         [this](ContainerKey key, v1::Method##Request request) {              \
                           auto note = operations_->Begin(Operation(key, "Engine." #Method)); \
                           return Noted(std::move(note), engine_.lifecycle().Call);           \
                         });                                                                  \
  }
BERTH_CONTAINER_CALL(StopContainer, Stop(std::move(key), std::move(request)))
BERTH_CONTAINER_CALL(KillContainer, Kill(std::move(key), std::move(request)))
BERTH_CONTAINER_CALL(RestartContainer, Restart(std::move(key), std::move(request)))
BERTH_CONTAINER_CALL(PauseContainer, Pause(std::move(key)))
BERTH_CONTAINER_CALL(UnpauseContainer, Unpause(std::move(key)))
BERTH_CONTAINER_CALL(RenameContainer, Rename(std::move(key), request.new_name()))
BERTH_CONTAINER_CALL(UpdateContainer, Update(std::move(key), std::move(request)))
BERTH_CONTAINER_CALL(RemoveContainer, Remove(std::move(key), std::move(request)))
#undef BERTH_CONTAINER_CALL

Reactor* EngineService::StartContainer(Context* context, const v1::StartContainerRequest* request,
                                       v1::StartContainerResponse* response) {
  return StartCall(context, executor_, request, response,
                   [this](const std::string& ns, v1::StartContainerRequest request) {
                     auto id = engine_.table().Resolve(ns, request.container());
                     if (!id.ok()) {
                       return engine_internal::Failed<v1::StartContainerResponse>(id.status());
                     }
                     ContainerKey key{ns, *std::move(id)};
                     auto note = operations_->Begin(Operation(key, "Engine.StartContainer"));
                     return Noted(std::move(note),
                                  engine_.lifecycle().Start(std::move(key), std::move(request)));
                   });
}

Reactor* EngineService::CreateExec(Context* context, const v1::CreateExecRequest* request,
                                   v1::CreateExecResponse* response) {
  return ContainerCall(context, executor_, engine_.table(), request, response,
                       [this](ContainerKey key, v1::CreateExecRequest request) {
                         return engine_.execs().Create(std::move(key), std::move(request));
                       });
}

Reactor* EngineService::StartExec(Context* context, const v1::StartExecRequest* request,
                                  v1::StartExecResponse* response) {
  return StartCall(context, executor_, request, response,
                   [this](const std::string& ns, v1::StartExecRequest request) {
                     return engine_.execs().Start(ns, request.exec_id());
                   });
}

Reactor* EngineService::InspectExec(Context* context, const v1::InspectExecRequest* request,
                                    v1::InspectExecResponse* response) {
  return Unary(context, executor_, request, response,
               WithCaller([this](const CallInfo&, const metadata::Caller& caller,
                                 const v1::InspectExecRequest& request) {
                 return engine_.execs().Inspect(caller.ns, request.exec_id());
               }));
}

Reactor* EngineService::Resize(Context* context, const v1::ResizeRequest* request,
                               v1::ResizeResponse* response) {
  return EngineCall(context, executor_, request, response,
                    [this](const std::string& ns, v1::ResizeRequest request) {
                      absl::StatusOr<ContainerKey> key;
                      if (request.container().empty()) {
                        key = engine_.execs().ContainerOf(ns, request.exec_id());
                      } else if (auto id = engine_.table().Resolve(ns, request.container());
                                 id.ok()) {
                        key = ContainerKey{ns, *std::move(id)};
                      } else {
                        key = id.status();
                      }
                      if (!key.ok())
                        return engine_internal::Failed<v1::ResizeResponse>(key.status());
                      return engine_.execs().Resize(*std::move(key), std::move(request));
                    });
}

grpc::ServerWriteReactor<v1::LogsResponse>* EngineService::Logs(Context* context,
                                                                const v1::LogsRequest* request) {
  return ServeLogs(context, engine_, executor_, request);
}

grpc::ServerBidiReactor<v1::AttachRequest, v1::AttachResponse>* EngineService::Attach(
    Context* context) {
  return ServeAttach(context, engine_, executor_);
}

Reactor* EngineService::StatPath(Context* context, const v1::StatPathRequest* request,
                                 v1::StatPathResponse* response) {
  return Unary(context, executor_, request, response,
               WithCaller([this](const CallInfo&, const metadata::Caller& caller,
                                 const v1::StatPathRequest& request) {
                 return StatPathOf(engine_, caller, request);
               }));
}

grpc::ServerWriteReactor<v1::CopyOutResponse>* EngineService::CopyOut(
    Context* context, const v1::CopyOutRequest* request) {
  return ServeCopyOut(context, engine_, executor_, request);
}

grpc::ServerBidiReactor<v1::CopyInRequest, v1::CopyInResponse>* EngineService::CopyIn(
    Context* context) {
  return ServeCopyIn(context, engine_, executor_);
}

Reactor* EngineService::PruneContainers(Context* context, const v1::PruneContainersRequest* request,
                                        v1::PruneContainersResponse* response) {
  return EngineCall(context, executor_, request, response,
                    [this](const std::string& ns, v1::PruneContainersRequest request) {
                      return engine::PruneContainers(engine_, ns, std::move(request));
                    });
}

Reactor* EngineService::InspectContainer(Context* context,
                                         const v1::InspectContainerRequest* request,
                                         v1::InspectContainerResponse* response) {
  return ContainerCall(context, executor_, engine_.table(), request, response,
                       [this](ContainerKey key, v1::InspectContainerRequest request) {
                         return engine::InspectContainer(engine_, std::move(key),
                                                         std::move(request));
                       });
}

grpc::ServerWriteReactor<v1::WaitContainerResponse>* EngineService::WaitContainer(
    Context* context, const v1::WaitContainerRequest* request) {
  using Response = v1::WaitContainerResponse;
  return PushStream<Response>(
      context, request, 2,
      [this](const CallInfo& call, const v1::WaitContainerRequest& request,
             StreamSink<Response> sink) -> absl::Status {
        BERTH_RETURN_IF_ERROR(call.RequireNamespace());
        // Two short reads of the database, so that the headers, which the client awaits, mean that
        // the wait has begun.
        const auto tell = [sink](const absl::StatusOr<engine::ContainerEnd>& end) {
          if (!end.ok()) return sink.Close(end.status());
          Response response;
          response.set_exit_code(end->exit_code);
          response.set_error(end->error);
          sink.Push(std::move(response));
          sink.Close(absl::OkStatus());
        };
        absl::StatusOr<std::string> id = engine_.table().Resolve(call.ns, request.container());
        if (absl::IsNotFound(id.status())) {
          const auto end = engine_.lifecycle().EndOfRemoved({call.ns, request.container()});
          if (end.has_value()) {
            tell(*end);
            return absl::OkStatus();
          }
        }
        BERTH_RETURN_IF_ERROR(id.status());
        const ContainerKey key{call.ns, *std::move(id)};
        BERTH_ASSIGN_OR_RETURN(const auto ticket,
                               engine_.lifecycle().Wait(key, request.condition(), tell));
        call.OnCancel([this, key, ticket] { engine_.lifecycle().CancelWait(key, ticket); });
        return absl::OkStatus();
      });
}

grpc::ServerWriteReactor<grpc::ByteBuffer>* EngineService::ListContainers(
    Context* context, const grpc::ByteBuffer* request) {
  return PullStream<grpc::ByteBuffer>(
      context, executor_, request,
      [this](const CallInfo& call,
             const grpc::ByteBuffer& request) -> absl::StatusOr<StreamSource<grpc::ByteBuffer>> {
        BERTH_RETURN_IF_ERROR(call.RequireNamespace());
        v1::ListContainersRequest list;
        grpc::ByteBuffer bytes(request);
        if (!grpc::SerializationTraits<v1::ListContainersRequest>::Deserialize(&bytes, &list)
                 .ok()) {
          return absl::InvalidArgumentError("the request is no ListContainersRequest");
        }
        BERTH_ASSIGN_OR_RETURN(
            std::vector<std::string> parts,
            engine::EncodedContainers(engine_.table(), call.ns, list, absl::Now(),
                                      [&](v1::ContainerSummary& container) {
                                        engine::AddSizes(engine_, call.ns, container);
                                      }));
        return StreamSource<grpc::ByteBuffer>(
            [parts = std::move(parts),
             at = size_t{0}](grpc::ByteBuffer& response) mutable -> absl::StatusOr<bool> {
              if (at == parts.size()) return false;
              std::string message;
              for (; at < parts.size() && message.size() < kListMessageBytes; ++at) {
                message += parts[at];
              }
              const grpc::Slice slice(message);
              response = grpc::ByteBuffer(&slice, 1);
              return true;
            });
      });
}

grpc::ServerWriteReactor<v1::EngineEvent>* EngineService::Events(
    Context* context, const v1::EngineEventsRequest* request) {
  return PushStream<v1::EngineEvent>(
      context, request, kEventQueue,
      [this](const CallInfo& call, const v1::EngineEventsRequest& request,
             StreamSink<v1::EngineEvent> sink) -> absl::Status {
        BERTH_RETURN_IF_ERROR(call.RequireNamespace());
        BERTH_RETURN_IF_ERROR(engine::CheckEventFilters(request));
        const absl::Time since =
            request.has_since() ? metadata::FromTimestamp(request.since()) : absl::InfiniteFuture();
        const absl::Time until =
            request.has_until() ? metadata::FromTimestamp(request.until()) : absl::InfiniteFuture();
        BERTH_ASSIGN_OR_RETURN(
            const uint64_t number,
            engine_.events().Listen(call.ns, since,
                                    [request, sink, until](const v1::EngineEvent& event) {
                                      if (metadata::FromTimestamp(event.time()) > until)
                                        return true;
                                      return !engine::Matches(request, event) || sink.Push(event);
                                    }));
        call.OnCancel([this, number] { engine_.events().Forget(number); });
        if (until < absl::InfiniteFuture()) {
          engine_.lifecycle().RunAfter(until - absl::Now(), [this, sink, number] {
            engine_.events().Forget(number);
            sink.Close(absl::OkStatus());
          });
        }
        return absl::OkStatus();
      });
}

// Volumes: calls that only block for a disk.

Reactor* EngineService::CreateVolume(Context* context, const v1::CreateVolumeRequest* request,
                                     v1::CreateVolumeResponse* response) {
  return Unary(context, executor_, request, response,
               WithCaller([this](const CallInfo&, const metadata::Caller& caller,
                                 const v1::CreateVolumeRequest& request)
                              -> absl::StatusOr<v1::CreateVolumeResponse> {
                 BERTH_ASSIGN_OR_RETURN(auto found, engine_.volumes().Create(caller.ns, request));
                 v1::CreateVolumeResponse response;
                 *response.mutable_volume() = std::move(found.volume);
                 return response;
               }));
}

Reactor* EngineService::ListVolumes(Context* context, const v1::ListVolumesRequest* request,
                                    v1::ListVolumesResponse* response) {
  return Unary(
      context, executor_, request, response,
      WithCaller(
          [this](const CallInfo&, const metadata::Caller& caller,
                 const v1::ListVolumesRequest& request) -> absl::StatusOr<v1::ListVolumesResponse> {
            BERTH_ASSIGN_OR_RETURN(auto list, engine_.volumes().List(caller.ns, request));
            v1::ListVolumesResponse response;
            for (v1::Volume& volume : list) *response.add_volumes() = std::move(volume);
            return response;
          }));
}

Reactor* EngineService::InspectVolume(Context* context, const v1::InspectVolumeRequest* request,
                                      v1::InspectVolumeResponse* response) {
  return Unary(context, executor_, request, response,
               WithCaller([this](const CallInfo&, const metadata::Caller& caller,
                                 const v1::InspectVolumeRequest& request)
                              -> absl::StatusOr<v1::InspectVolumeResponse> {
                 v1::InspectVolumeResponse response;
                 BERTH_ASSIGN_OR_RETURN(*response.mutable_volume(),
                                        engine_.volumes().Get(caller.ns, request.name()));
                 response.set_json(engine::VolumeDocument(response.volume()));
                 return response;
               }));
}

Reactor* EngineService::RemoveVolume(Context* context, const v1::RemoveVolumeRequest* request,
                                     v1::RemoveVolumeResponse* response) {
  return Unary(context, executor_, request, response,
               WithCaller([this](const CallInfo&, const metadata::Caller& caller,
                                 const v1::RemoveVolumeRequest& request)
                              -> absl::StatusOr<v1::RemoveVolumeResponse> {
                 const absl::Status removed = engine_.volumes().Remove(caller.ns, request.name());
                 if (!removed.ok() && !(request.force() && absl::IsNotFound(removed))) {
                   return removed;
                 }
                 return v1::RemoveVolumeResponse();
               }));
}

Reactor* EngineService::PruneVolumes(Context* context, const v1::PruneVolumesRequest* request,
                                     v1::PruneVolumesResponse* response) {
  return Unary(context, executor_, request, response,
               WithCaller([this](const CallInfo&, const metadata::Caller& caller,
                                 const v1::PruneVolumesRequest& request) {
                 return engine_.volumes().Prune(caller.ns, request);
               }));
}

}  // namespace berth
