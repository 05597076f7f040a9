// Serves one-request-one-answer calls of gRPC's callback API from plain functions.
//
//   grpc::ServerUnaryReactor* Get(grpc::CallbackServerContext* c, const GetRequest* q,
//                                 GetResponse* r) override {
//     return Unary(c, executor_, q, r,
//                  [this](const CallInfo& call, const GetRequest& q) { return Get(call, q); });
//   }
//
// Unary runs the function on the executor, where it may block; UnaryAsync runs it on gRPC's thread,
// where it must not, and takes the answer later through Done. Both deliver exactly one answer, turn
// exceptions into INTERNAL, and answer CANCELLED without running the function for a client that has
// already gone. Thread-safe; each call's reactor owns itself.
#ifndef BERTH_BASE_GRPC_UNARY_H_
#define BERTH_BASE_GRPC_UNARY_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <atomic>
#include <memory>
#include <type_traits>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/grpc/call_info.h"
#include "base/grpc/executor.h"
#include "base/grpc/status_conversion.h"

namespace berth {

// The way to answer an asynchronous call: call it once, from any thread. Later calls, and those
// after the client went away, do nothing. Dropped without a call it answers UNAVAILABLE, so that a
// client never hangs on our mistake.
template <typename Response>
class Done {
 public:
  explicit Done(absl::AnyInvocable<void(absl::StatusOr<Response>)> answer)
      : answer_(std::move(answer)) {}
  Done(Done&& other) noexcept : answer_(std::exchange(other.answer_, nullptr)) {}
  Done& operator=(Done&& other) noexcept {
    if (this != &other) {
      Drop();
      answer_ = std::exchange(other.answer_, nullptr);
    }
    return *this;
  }
  ~Done() { Drop(); }

  void operator()(absl::StatusOr<Response> response) {
    if (auto answer = std::exchange(answer_, nullptr)) answer(std::move(response));
  }

 private:
  void Drop() { (*this)(absl::UnavailableError("the server stopped before it had an answer")); }
  absl::AnyInvocable<void(absl::StatusOr<Response>)> answer_;
};

namespace grpc_internal {

// Finishes once, whoever comes first: the handler or the cancellation.
template <typename Response>
class UnaryReactor final : public grpc::ServerUnaryReactor,
                           public std::enable_shared_from_this<UnaryReactor<Response>> {
 public:
  UnaryReactor(CallInfo call, Response* response) : call_(std::move(call)), response_(response) {}

  // Keeps the reactor alive until gRPC says OnDone.
  void HoldSelf() { self_ = this->shared_from_this(); }
  const CallInfo& call() const { return call_; }

  void Answer(absl::StatusOr<Response> result) {
    if (answered_.exchange(true)) return;
    call_.cancellation->Close();
    if (result.ok()) *response_ = *std::move(result);
    Finish(ToGrpc(result.status()));
  }
  // The cancelled client is not waiting, but the call holds memory until it is finished.
  void AnswerOnCancel() { finish_on_cancel_ = true; }

 private:
  void OnCancel() override {
    call_.cancellation->Cancel();
    if (finish_on_cancel_) Answer(absl::CancelledError("the client went away"));
  }
  void OnDone() override { self_.reset(); }

  const CallInfo call_;
  Response* const response_;
  bool finish_on_cancel_ = false;  // set before the reactor is handed to gRPC
  std::atomic<bool> answered_{false};
  std::shared_ptr<UnaryReactor> self_;
};

template <typename Response, typename Function, typename Request>
absl::StatusOr<Response> RunUnary(Function& function, const CallInfo& call,
                                  const Request& request) {
  return Guarded<absl::StatusOr<Response>>([&]() -> absl::StatusOr<Response> {
    if constexpr (std::is_same_v<std::decay_t<decltype(function(call, request))>, absl::Status>) {
      absl::Status status = function(call, request);
      if (!status.ok()) return status;
      return Response();
    } else {
      return function(call, request);
    }
  });
}

}  // namespace grpc_internal

// `function`: absl::StatusOr<Response>(const CallInfo&, const Request&), or absl::Status(...) where
// the response is empty.
template <typename Request, typename Response, typename Function>
grpc::ServerUnaryReactor* Unary(grpc::CallbackServerContext* context, Executor& executor,
                                const Request* request, Response* response, Function function) {
  auto reactor =
      std::make_shared<grpc_internal::UnaryReactor<Response>>(ReadCallInfo(*context), response);
  reactor->HoldSelf();
  // The request lives until the reactor is finished, which here only the task does.
  const bool posted = executor.Post([reactor, request, function = std::move(function)]() mutable {
    if (reactor->call().cancelled()) {
      reactor->Answer(absl::CancelledError("the client went away before its call was served"));
      return;
    }
    reactor->Answer(grpc_internal::RunUnary<Response>(function, reactor->call(), *request));
  });
  if (!posted) {
    reactor->Answer(absl::ResourceExhaustedError(
        "too many calls are waiting to be served; try again in a moment"));
  }
  return reactor.get();
}

// `function`: void(const CallInfo&, const Request&, Done<Response>). Must not block, and must copy
// what it needs from the request. When the client goes away the call ends at once; use
// CallInfo::OnCancel to stop what was being waited for.
template <typename Request, typename Response, typename Function>
grpc::ServerUnaryReactor* UnaryAsync(grpc::CallbackServerContext* context, const Request* request,
                                     Response* response, Function function) {
  auto reactor =
      std::make_shared<grpc_internal::UnaryReactor<Response>>(ReadCallInfo(*context), response);
  reactor->HoldSelf();
  reactor->AnswerOnCancel();
  Done<Response> done(
      [reactor](absl::StatusOr<Response> result) { reactor->Answer(std::move(result)); });
  const absl::Status ran = grpc_internal::Guarded<absl::Status>([&] {
    function(reactor->call(), *request, std::move(done));
    return absl::OkStatus();
  });
  if (!ran.ok()) reactor->Answer(ran);
  return reactor.get();
}

}  // namespace berth

#endif  // BERTH_BASE_GRPC_UNARY_H_
