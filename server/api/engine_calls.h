// Shapes of the engine's calls: what becomes of a request before and after the engine's own work.
// Thread-safe functions.
#ifndef BERTH_SERVER_API_ENGINE_CALLS_H_
#define BERTH_SERVER_API_ENGINE_CALLS_H_

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/grpc/call_info.h"
#include "base/grpc/executor.h"
#include "base/grpc/status_conversion.h"
#include "base/grpc/unary.h"
#include "server/engine/async.h"
#include "server/engine/container_table.h"
#include "server/engine/exit_code.h"

namespace berth {

inline absl::Status TooManyCalls() {
  return absl::ResourceExhaustedError(
      "too many calls are waiting to be served; try again in a moment");
}

// `begin`: engine::Async<absl::StatusOr<Response>>(const std::string& ns, Request).
template <typename Request, typename Response, typename Function>
grpc::ServerUnaryReactor* EngineCall(grpc::CallbackServerContext* context, Executor& executor,
                                     const Request* request, Response* response, Function begin) {
  return UnaryAsync(
      context, request, response,
      [&executor, begin = std::move(begin)](const CallInfo& call, const Request& request,
                                            Done<Response> done) mutable {
        if (const absl::Status named = call.RequireNamespace(); !named.ok()) return done(named);
        struct Work {
          std::string ns;
          Request request;
          Function begin;
          Done<Response> done;
        };
        auto work =
            std::make_shared<Work>(Work{call.ns, request, std::move(begin), std::move(done)});
        const bool posted = executor.Post([work] {
          absl::AnyInvocable<void(absl::StatusOr<Response>)> finish =
              [work](absl::StatusOr<Response> result) { work->done(std::move(result)); };
          engine::Begin<absl::StatusOr<Response>>(work->begin(work->ns, work->request),
                                                  std::move(finish));
        });
        if (!posted) work->done(TooManyCalls());
      });
}

namespace engine_internal {

// Ends when its work does, whether the client still waits or not, so that the context is there for
// the trailer.
template <typename Request, typename Response, typename Function>
class StartReactor final : public grpc::ServerUnaryReactor {
 public:
  StartReactor(grpc::CallbackServerContext* context, const Request* request, Response* response,
               Function begin)
      : context_(context),
        call_(ReadCallInfo(*context)),
        request_(request),
        response_(response),
        begin_(std::move(begin)) {}

  void Run(Executor& executor) {
    const absl::Status named = call_.RequireNamespace();
    if (!named.ok()) return Answer(named);
    if (!executor.Post([this] { Work(); })) Answer(TooManyCalls());
  }

 private:
  void Work() {
    absl::AnyInvocable<void(absl::StatusOr<Response>)> finish =
        [this](absl::StatusOr<Response> result) { Answer(std::move(result)); };
    engine::Begin<absl::StatusOr<Response>>(begin_(call_.ns, *request_), std::move(finish));
  }
  void Answer(absl::StatusOr<Response> result) {
    if (result.ok()) {
      *response_ = *std::move(result);
      return Finish(grpc::Status::OK);
    }
    if (const auto code = result.status().GetPayload(engine::kExitCodeTrailer)) {
      context_->AddTrailingMetadata(engine::kExitCodeTrailer, std::string(*code));
    }
    Finish(ToGrpc(result.status()));
  }
  void OnDone() override { delete this; }

  grpc::CallbackServerContext* const context_;
  const CallInfo call_;
  const Request* const request_;
  Response* const response_;
  Function begin_;
};

template <typename Response>
engine::Async<absl::StatusOr<Response>> Failed(absl::Status status) {
  co_return status;
}
}  // namespace engine_internal

// As EngineCall, for what starts a program: errors carry an exit code in a trailer.
template <typename Request, typename Response, typename Function>
grpc::ServerUnaryReactor* StartCall(grpc::CallbackServerContext* context, Executor& executor,
                                    const Request* request, Response* response, Function begin) {
  auto* reactor = new engine_internal::StartReactor<Request, Response, Function>(
      context, request, response, std::move(begin));
  reactor->Run(executor);
  return reactor;
}

// The same for a call on a container. `begin`: Async<StatusOr<Response>>(ContainerKey, Request).
template <typename Request, typename Response, typename Function>
grpc::ServerUnaryReactor* ContainerCall(grpc::CallbackServerContext* context, Executor& executor,
                                        engine::ContainerTable& table, const Request* request,
                                        Response* response, Function begin) {
  return EngineCall(context, executor, request, response,
                    [&table, begin = std::move(begin)](const std::string& ns, Request request) {
                      auto id = table.Resolve(ns, request.container());
                      if (!id.ok()) return engine_internal::Failed<Response>(id.status());
                      return begin(engine::ContainerKey{ns, *std::move(id)}, std::move(request));
                    });
}

}  // namespace berth

#endif  // BERTH_SERVER_API_ENGINE_CALLS_H_
