// The calls of EngineClient that are streams.
#include <grpcpp/grpcpp.h>

#include <thread>

#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "base/status/status_macros.h"
#include "client/sdk/engine_client.h"
#include "client/sdk/stubs.h"

namespace berth::client {
namespace {

// Reads `reader` to its end; a sink that fails ends the call.
template <typename Response>
absl::Status Drain(const Connection& connection, grpc::ClientContext& context,
                   grpc::ClientReader<Response>& reader,
                   const std::function<absl::Status(const Response&)>& sink) {
  Response response;
  absl::Status sunk;
  while (sunk.ok() && reader.Read(&response)) sunk = sink(response);
  if (!sunk.ok()) {
    context.TryCancel();
    while (reader.Read(&response)) continue;  // what was under way
    reader.Finish();
    return sunk;
  }
  return connection.ToStatus(reader.Finish());
}

// gRPC tells by blocking calls alone; a thread turns the answer into a readable descriptor.
class GrpcWait : public EngineWait {
 public:
  GrpcWait(const Connection& connection, Pipe pipe)
      : connection_(connection), pipe_(std::move(pipe)) {}

  ~GrpcWait() override {
    context_.TryCancel();
    if (thread_.joinable()) thread_.join();
  }

  absl::Status Begin(const engine::WaitContainerRequest& request) {
    connection_.Prepare(context_, absl::InfiniteDuration());
    reader_ = connection_.stubs().engine->WaitContainer(&context_, request);
    reader_->WaitForInitialMetadata();
    thread_ = std::thread([this] {
      has_response_ = reader_->Read(&response_);
      status_ = connection_.ToStatus(reader_->Finish());
      pipe_.write.Reset();
    });
    // An error (no such container) is known at once, an exit later.
    return absl::OkStatus();
  }

  BorrowedFd ready() const override { return pipe_.read; }

  absl::StatusOr<engine::WaitContainerResponse> Result() override {
    if (thread_.joinable()) thread_.join();
    if (has_response_) return response_;
    if (!status_.ok()) return status_;
    return absl::UnavailableError("the server ended the wait without an exit status");
  }

 private:
  const Connection connection_;
  Pipe pipe_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReader<engine::WaitContainerResponse>> reader_;
  engine::WaitContainerResponse response_;
  bool has_response_ = false;
  absl::Status status_;
  std::thread thread_;  // writes the three above, then closes the pipe
};

class GrpcAttach : public EngineAttach {
 public:
  explicit GrpcAttach(const Connection& connection) : connection_(connection) {
    connection_.Prepare(context_, absl::InfiniteDuration());
    stream_ = connection_.stubs().engine->Attach(&context_);
  }
  ~GrpcAttach() override {
    if (is_finished_) return;
    context_.TryCancel();
    stream_->Finish();
  }

  bool Read(engine::AttachResponse& response) override { return stream_->Read(&response); }
  bool Write(const engine::AttachRequest& request) override { return stream_->Write(request); }
  void Cancel() override { context_.TryCancel(); }
  absl::Status Finish() override {
    is_finished_ = true;
    return connection_.ToStatus(stream_->Finish());
  }

 private:
  const Connection connection_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<engine::AttachRequest, engine::AttachResponse>> stream_;
  bool is_finished_ = false;
};

}  // namespace

absl::Status EngineClient::List(
    const engine::ListContainersRequest& request,
    absl::FunctionRef<void(const engine::ContainerSummary&)> visit) const {
  grpc::ClientContext context;
  connection_.Prepare(context, kCallTimeout);
  auto reader = connection_.stubs().engine->ListContainers(&context, request);
  engine::ListContainersResponse response;
  while (reader->Read(&response)) {
    for (const engine::ContainerSummary& one : response.containers()) visit(one);
  }
  return connection_.ToStatus(reader->Finish());
}

absl::Status EngineClient::Logs(const engine::LogsRequest& request,
                                const Sink<engine::LogsResponse>& sink) const {
  grpc::ClientContext context;
  connection_.Prepare(context, absl::InfiniteDuration());
  auto reader = connection_.stubs().engine->Logs(&context, request);
  return Drain(connection_, context, *reader, sink);
}

absl::Status EngineClient::Stats(const engine::StatsRequest& request,
                                 const Sink<engine::StatsResponse>& sink) const {
  grpc::ClientContext context;
  connection_.Prepare(context, absl::InfiniteDuration());
  auto reader = connection_.stubs().engine->Stats(&context, request);
  return Drain(connection_, context, *reader, sink);
}

absl::Status EngineClient::Events(const engine::EngineEventsRequest& request,
                                  const Sink<engine::EngineEvent>& sink) const {
  grpc::ClientContext context;
  connection_.Prepare(context, absl::InfiniteDuration());
  auto reader = connection_.stubs().engine->Events(&context, request);
  return Drain(connection_, context, *reader, sink);
}

absl::Status EngineClient::CopyOut(const engine::CopyOutRequest& request,
                                   const Sink<engine::CopyOutResponse>& sink) const {
  grpc::ClientContext context;
  connection_.Prepare(context, absl::InfiniteDuration());
  auto reader = connection_.stubs().engine->CopyOut(&context, request);
  return Drain(connection_, context, *reader, sink);
}

absl::Status EngineClient::CopyIn(
    const engine::CopyInRequest::Open& open,
    const std::function<absl::StatusOr<std::string>()>& source) const {
  grpc::ClientContext context;
  connection_.Prepare(context, absl::InfiniteDuration());
  auto stream = connection_.stubs().engine->CopyIn(&context);
  engine::CopyInRequest request;
  engine::CopyInResponse response;
  *request.mutable_open() = open;
  absl::Status failed;
  // Each message has its answer, so that the archive never piles up in the server.
  while (stream->Write(request) && stream->Read(&response)) {
    absl::StatusOr<std::string> next = source();
    if (!next.ok()) {
      failed = next.status();
      context.TryCancel();
      break;
    }
    if (next->empty()) {
      stream->WritesDone();
      break;
    }
    request.set_data(*std::move(next));
  }
  while (stream->Read(&response)) continue;
  const absl::Status status = connection_.ToStatus(stream->Finish());
  return failed.ok() ? status : failed;
}

absl::StatusOr<std::unique_ptr<EngineWait>> EngineClient::StartWait(
    const engine::WaitContainerRequest& request) const {
  BERTH_ASSIGN_OR_RETURN(Pipe pipe, MakePipe());
  auto wait = std::make_unique<GrpcWait>(connection_, std::move(pipe));
  BERTH_RETURN_IF_ERROR(wait->Begin(request));
  return wait;
}

absl::StatusOr<std::unique_ptr<EngineAttach>> EngineClient::Attach(
    const engine::AttachRequest::Open& open) const {
  auto attach = std::make_unique<GrpcAttach>(connection_);
  engine::AttachRequest request;
  *request.mutable_open() = open;
  engine::AttachResponse response;
  if (attach->Write(request) && attach->Read(response)) {
    if (response.has_attached()) return attach;
    attach->Cancel();
    while (attach->Read(response)) continue;
    attach->Finish().IgnoreError();
    return absl::InternalError("the server began an attach without saying so");
  }
  const absl::Status ended = attach->Finish();
  return ended.ok() ? absl::UnavailableError("the server ended the attach at once") : ended;
}

}  // namespace berth::client
