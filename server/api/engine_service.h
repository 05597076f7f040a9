// berth.engine.v1.Engine over gRPC: reads the call's headers, finds the container that is meant and
// passes the call to the engine, which holds no thread while a call waits. Thread-safe; owned by
// server/main.
#ifndef BERTH_SERVER_API_ENGINE_SERVICE_H_
#define BERTH_SERVER_API_ENGINE_SERVICE_H_

#include <memory>
#include <utility>

#include "base/grpc/executor.h"
#include "proto/berth/engine/v1/engine.grpc.pb.h"
#include "server/api/operations.h"
#include "server/engine/engine.h"

namespace berth {

namespace engine_internal {
// A list of thousands is sent as it is stored.
using Base =
    engine::v1::Engine::WithRawCallbackMethod_ListContainers<engine::v1::Engine::CallbackService>;
}  // namespace engine_internal

class EngineService : public engine_internal::Base {
 public:
  EngineService(engine::Engine& engine, Executor& executor, std::shared_ptr<Operations> operations)
      : engine_(engine), executor_(executor), operations_(std::move(operations)) {}

  using Context = grpc::CallbackServerContext;
  using Reactor = grpc::ServerUnaryReactor;
  template <typename Response>
  using Writer = grpc::ServerWriteReactor<Response>;

#define BERTH_UNARY(Method)                                                     \
  Reactor* Method(Context* context, const engine::v1::Method##Request* request, \
                  engine::v1::Method##Response* response) override
  BERTH_UNARY(CreateContainer);
  BERTH_UNARY(StartContainer);
  BERTH_UNARY(StopContainer);
  BERTH_UNARY(KillContainer);
  BERTH_UNARY(RestartContainer);
  BERTH_UNARY(PauseContainer);
  BERTH_UNARY(UnpauseContainer);
  BERTH_UNARY(RenameContainer);
  BERTH_UNARY(UpdateContainer);
  BERTH_UNARY(RemoveContainer);
  BERTH_UNARY(PruneContainers);
  BERTH_UNARY(InspectContainer);
  BERTH_UNARY(CreateExec);
  BERTH_UNARY(StartExec);
  BERTH_UNARY(InspectExec);
  BERTH_UNARY(Resize);
  BERTH_UNARY(StatPath);
  BERTH_UNARY(CreateVolume);
  BERTH_UNARY(Top);
  BERTH_UNARY(Port);
  BERTH_UNARY(DiffContainer);
  BERTH_UNARY(Info);
  BERTH_UNARY(EngineVersion);
  BERTH_UNARY(DiskUsage);
  BERTH_UNARY(PruneImages);
  BERTH_UNARY(ListVolumes);
  BERTH_UNARY(InspectVolume);
  BERTH_UNARY(RemoveVolume);
  BERTH_UNARY(PruneVolumes);
#undef BERTH_UNARY
  Writer<engine::v1::WaitContainerResponse>* WaitContainer(
      Context* context, const engine::v1::WaitContainerRequest* request) override;
  // Of messages ListContainersResponse.
  Writer<grpc::ByteBuffer>* ListContainers(Context* context,
                                           const grpc::ByteBuffer* request) override;
  Writer<engine::v1::StatsResponse>* Stats(Context* context,
                                           const engine::v1::StatsRequest* request) override;
  Writer<engine::v1::LogsResponse>* Logs(Context* context,
                                         const engine::v1::LogsRequest* request) override;
  grpc::ServerBidiReactor<engine::v1::AttachRequest, engine::v1::AttachResponse>* Attach(
      Context* context) override;
  Writer<engine::v1::CopyOutResponse>* CopyOut(Context* context,
                                               const engine::v1::CopyOutRequest* request) override;
  grpc::ServerBidiReactor<engine::v1::CopyInRequest, engine::v1::CopyInResponse>* CopyIn(
      Context* context) override;
  Writer<engine::v1::EngineEvent>* Events(Context* context,
                                          const engine::v1::EngineEventsRequest* request) override;

 private:
  engine::Engine& engine_;
  Executor& executor_;
  const std::shared_ptr<Operations> operations_;
};

}  // namespace berth

#endif  // BERTH_SERVER_API_ENGINE_SERVICE_H_
