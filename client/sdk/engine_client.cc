#include "client/sdk/engine_client.h"

#include "absl/strings/numbers.h"
#include "base/status/status_macros.h"
#include "client/sdk/stubs.h"
#include "client/sdk/unary.h"

namespace berth::client {
namespace {

constexpr char kExitCodeTrailer[] = "berth-exit-code";

using Stub = engine::Engine::Stub;

}  // namespace

int ExitCodeOf(const absl::Status& status, int fallback) {
  const absl::optional<absl::Cord> payload = status.GetPayload(kExitCodeTrailer);
  int code = 0;
  if (payload.has_value() && absl::SimpleAtoi(std::string(*payload), &code)) return code;
  return fallback;
}

// A call whose error carries an exit code.
template <typename Request, typename Response>
absl::StatusOr<Response> CallWithExitCode(const Connection& connection, Stub& stub,
                                          grpc::Status (Stub::*method)(grpc::ClientContext*,
                                                                       const Request&, Response*),
                                          const Request& request) {
  grpc::ClientContext context;
  connection.Prepare(context, kCallTimeout);
  Response response;
  const grpc::Status status = (stub.*method)(&context, request, &response);
  if (status.ok()) return response;
  absl::Status converted = connection.ToStatus(status);
  const auto& trailers = context.GetServerTrailingMetadata();
  if (const auto found = trailers.find(kExitCodeTrailer); found != trailers.end()) {
    converted.SetPayload(kExitCodeTrailer,
                         absl::Cord(absl::string_view(found->second.data(), found->second.size())));
  }
  return converted;
}

// One unary method whose response is of interest, and one whose response says nothing.
#define BERTH_ENGINE_CALL(Name, Method, Request, Response)                                    \
  absl::StatusOr<engine::Response> EngineClient::Name(const engine::Request& request) const { \
    return Unary(connection_, *connection_.stubs().engine, &Stub::Method, request);           \
  }
#define BERTH_ENGINE_COMMAND(Name, Method, Request)                                          \
  absl::Status EngineClient::Name(const engine::Request& request) const {                    \
    return Unary(connection_, *connection_.stubs().engine, &Stub::Method, request).status(); \
  }

BERTH_ENGINE_CALL(Create, CreateContainer, CreateContainerRequest, CreateContainerResponse)
BERTH_ENGINE_CALL(Stop, StopContainer, StopContainerRequest, StopContainerResponse)
BERTH_ENGINE_CALL(Update, UpdateContainer, UpdateContainerRequest, UpdateContainerResponse)
BERTH_ENGINE_CALL(PruneContainers, PruneContainers, PruneContainersRequest, PruneContainersResponse)
BERTH_ENGINE_CALL(Inspect, InspectContainer, InspectContainerRequest, InspectContainerResponse)
BERTH_ENGINE_CALL(Top, Top, TopRequest, TopResponse)
BERTH_ENGINE_CALL(CreateExec, CreateExec, CreateExecRequest, CreateExecResponse)
BERTH_ENGINE_CALL(ListVolumes, ListVolumes, ListVolumesRequest, ListVolumesResponse)
BERTH_ENGINE_CALL(PruneVolumes, PruneVolumes, PruneVolumesRequest, PruneVolumesResponse)
BERTH_ENGINE_CALL(DiskUsage, DiskUsage, DiskUsageRequest, DiskUsageResponse)
BERTH_ENGINE_CALL(PruneImages, PruneImages, PruneImagesRequest, PruneImagesResponse)
BERTH_ENGINE_COMMAND(Kill, KillContainer, KillContainerRequest)
BERTH_ENGINE_COMMAND(Restart, RestartContainer, RestartContainerRequest)
BERTH_ENGINE_COMMAND(Remove, RemoveContainer, RemoveContainerRequest)
BERTH_ENGINE_COMMAND(Resize, Resize, ResizeRequest)
BERTH_ENGINE_COMMAND(RemoveVolume, RemoveVolume, RemoveVolumeRequest)

#undef BERTH_ENGINE_CALL
#undef BERTH_ENGINE_COMMAND

absl::StatusOr<engine::StartContainerResponse> EngineClient::Start(
    const engine::StartContainerRequest& request) const {
  return CallWithExitCode(connection_, *connection_.stubs().engine, &Stub::StartContainer, request);
}

absl::StatusOr<engine::StartExecResponse> EngineClient::StartExec(
    const engine::StartExecRequest& request) const {
  return CallWithExitCode(connection_, *connection_.stubs().engine, &Stub::StartExec, request);
}

absl::Status EngineClient::Pause(absl::string_view container) const {
  engine::PauseContainerRequest request;
  request.set_container(std::string(container));
  return Unary(connection_, *connection_.stubs().engine, &Stub::PauseContainer, request).status();
}

absl::Status EngineClient::Unpause(absl::string_view container) const {
  engine::UnpauseContainerRequest request;
  request.set_container(std::string(container));
  return Unary(connection_, *connection_.stubs().engine, &Stub::UnpauseContainer, request).status();
}

absl::Status EngineClient::Rename(absl::string_view container, absl::string_view new_name) const {
  engine::RenameContainerRequest request;
  request.set_container(std::string(container));
  request.set_new_name(std::string(new_name));
  return Unary(connection_, *connection_.stubs().engine, &Stub::RenameContainer, request).status();
}

absl::StatusOr<engine::PortResponse> EngineClient::Port(absl::string_view container) const {
  engine::PortRequest request;
  request.set_container(std::string(container));
  return Unary(connection_, *connection_.stubs().engine, &Stub::Port, request);
}

absl::StatusOr<engine::DiffContainerResponse> EngineClient::Diff(
    absl::string_view container) const {
  engine::DiffContainerRequest request;
  request.set_container(std::string(container));
  return Unary(connection_, *connection_.stubs().engine, &Stub::DiffContainer, request);
}

absl::StatusOr<engine::InspectExecResponse> EngineClient::InspectExec(
    absl::string_view exec_id) const {
  engine::InspectExecRequest request;
  request.set_exec_id(std::string(exec_id));
  return Unary(connection_, *connection_.stubs().engine, &Stub::InspectExec, request);
}

absl::StatusOr<engine::Volume> EngineClient::CreateVolume(
    const engine::CreateVolumeRequest& request) const {
  BERTH_ASSIGN_OR_RETURN(
      engine::CreateVolumeResponse response,
      Unary(connection_, *connection_.stubs().engine, &Stub::CreateVolume, request));
  return std::move(*response.mutable_volume());
}

absl::StatusOr<engine::InspectVolumeResponse> EngineClient::InspectVolume(
    absl::string_view name) const {
  engine::InspectVolumeRequest request;
  request.set_name(std::string(name));
  return Unary(connection_, *connection_.stubs().engine, &Stub::InspectVolume, request);
}

absl::StatusOr<engine::InfoResponse> EngineClient::Info() const {
  return Unary(connection_, *connection_.stubs().engine, &Stub::Info, engine::InfoRequest());
}

absl::StatusOr<engine::EngineVersionResponse> EngineClient::Version() const {
  return Unary(connection_, *connection_.stubs().engine, &Stub::EngineVersion,
               engine::EngineVersionRequest());
}

absl::StatusOr<engine::PathStat> EngineClient::StatPath(absl::string_view container,
                                                        absl::string_view path) const {
  engine::StatPathRequest request;
  request.set_container(std::string(container));
  request.set_path(std::string(path));
  BERTH_ASSIGN_OR_RETURN(engine::StatPathResponse response,
                         Unary(connection_, *connection_.stubs().engine, &Stub::StatPath, request));
  return std::move(*response.mutable_stat());
}

}  // namespace berth::client
