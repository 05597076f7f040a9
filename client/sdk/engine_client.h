// The client of Berth's Docker-style service. Messages are the API's own; what is added here are
// the streams as plain calls. Thread-safe; owned by the command that uses it.
#ifndef BERTH_CLIENT_SDK_ENGINE_CLIENT_H_
#define BERTH_CLIENT_SDK_ENGINE_CLIENT_H_

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/os/unique_fd.h"
#include "client/sdk/connection.h"
#include "proto/berth/engine/v1/engine.pb.h"

namespace berth::client {

namespace engine = ::berth::engine::v1;

// docker's exit code that the server attached to an error of a start; `fallback` without one.
int ExitCodeOf(const absl::Status& status, int fallback);

// A wait that has begun on the server. Destroying it gives it up.
class EngineWait {
 public:
  virtual ~EngineWait() = default;
  // Readable when Result has something to say.
  virtual BorrowedFd ready() const = 0;
  // Blocks until the exit. UNAVAILABLE when the server went away meanwhile.
  virtual absl::StatusOr<engine::WaitContainerResponse> Result() = 0;
};

// The streams of one process. One thread may read while another writes.
class EngineAttach {
 public:
  virtual ~EngineAttach() = default;
  // False when the call has ended.
  virtual bool Read(engine::AttachResponse& response) = 0;
  virtual bool Write(const engine::AttachRequest& request) = 0;
  // Ends the call from any thread; the process goes on.
  virtual void Cancel() = 0;
  // After Read answered false.
  virtual absl::Status Finish() = 0;
};

class EngineClient {
 public:
  explicit EngineClient(Connection connection) : connection_(std::move(connection)) {}

  // Unary calls: Call(&engine::Engine::Stub::StopContainer, request) is spelled Stop(request).
  absl::StatusOr<engine::CreateContainerResponse> Create(
      const engine::CreateContainerRequest& request) const;
  absl::StatusOr<engine::StartContainerResponse> Start(
      const engine::StartContainerRequest& request) const;
  absl::StatusOr<engine::StopContainerResponse> Stop(
      const engine::StopContainerRequest& request) const;
  absl::Status Kill(const engine::KillContainerRequest& request) const;
  absl::Status Restart(const engine::RestartContainerRequest& request) const;
  absl::Status Pause(absl::string_view container) const;
  absl::Status Unpause(absl::string_view container) const;
  absl::Status Rename(absl::string_view container, absl::string_view new_name) const;
  absl::StatusOr<engine::UpdateContainerResponse> Update(
      const engine::UpdateContainerRequest& request) const;
  absl::Status Remove(const engine::RemoveContainerRequest& request) const;
  absl::StatusOr<engine::PruneContainersResponse> PruneContainers(
      const engine::PruneContainersRequest& request) const;
  absl::Status Resize(const engine::ResizeRequest& request) const;

  // `visit` is called for each container as it comes: there may be thousands.
  absl::Status List(const engine::ListContainersRequest& request,
                    absl::FunctionRef<void(const engine::ContainerSummary&)> visit) const;
  absl::StatusOr<engine::InspectContainerResponse> Inspect(
      const engine::InspectContainerRequest& request) const;
  absl::StatusOr<engine::TopResponse> Top(const engine::TopRequest& request) const;
  absl::StatusOr<engine::PortResponse> Port(absl::string_view container) const;
  absl::StatusOr<engine::DiffContainerResponse> Diff(absl::string_view container) const;

  absl::StatusOr<engine::CreateExecResponse> CreateExec(
      const engine::CreateExecRequest& request) const;
  absl::StatusOr<engine::StartExecResponse> StartExec(
      const engine::StartExecRequest& request) const;
  absl::StatusOr<engine::InspectExecResponse> InspectExec(absl::string_view exec_id) const;

  absl::StatusOr<engine::Volume> CreateVolume(const engine::CreateVolumeRequest& request) const;
  absl::StatusOr<engine::ListVolumesResponse> ListVolumes(
      const engine::ListVolumesRequest& request) const;
  absl::StatusOr<engine::InspectVolumeResponse> InspectVolume(absl::string_view name) const;
  absl::Status RemoveVolume(const engine::RemoveVolumeRequest& request) const;
  absl::StatusOr<engine::PruneVolumesResponse> PruneVolumes(
      const engine::PruneVolumesRequest& request) const;

  absl::StatusOr<engine::InfoResponse> Info() const;
  absl::StatusOr<engine::EngineVersionResponse> Version() const;
  absl::StatusOr<engine::DiskUsageResponse> DiskUsage(
      const engine::DiskUsageRequest& request) const;
  absl::StatusOr<engine::PruneImagesResponse> PruneImages(
      const engine::PruneImagesRequest& request) const;

  // Each gives what comes to `sink`, until the stream ends or `sink` fails with that error.
  template <typename Response>
  using Sink = std::function<absl::Status(const Response&)>;
  absl::Status Logs(const engine::LogsRequest& request,
                    const Sink<engine::LogsResponse>& sink) const;
  absl::Status Stats(const engine::StatsRequest& request,
                     const Sink<engine::StatsResponse>& sink) const;
  absl::Status Events(const engine::EngineEventsRequest& request,
                      const Sink<engine::EngineEvent>& sink) const;
  absl::Status CopyOut(const engine::CopyOutRequest& request,
                       const Sink<engine::CopyOutResponse>& sink) const;

  absl::StatusOr<engine::PathStat> StatPath(absl::string_view container,
                                            absl::string_view path) const;
  // Sends what `source` yields (empty: the end) as the archive.
  absl::Status CopyIn(const engine::CopyInRequest::Open& open,
                      const std::function<absl::StatusOr<std::string>()>& source) const;

  // Comes back once the server has begun to wait, so that no exit is missed.
  absl::StatusOr<std::unique_ptr<EngineWait>> StartWait(
      const engine::WaitContainerRequest& request) const;
  // Comes back once the server has said that nothing is missed any more.
  absl::StatusOr<std::unique_ptr<EngineAttach>> Attach(
      const engine::AttachRequest::Open& open) const;

  const Connection& connection() const { return connection_; }

 private:
  Connection connection_;
};

}  // namespace berth::client

#endif  // BERTH_CLIENT_SDK_ENGINE_CLIENT_H_
