// Serves calls where each request of a stream gets one response, in order (Content.Write).
//
// Invariant: one request is handled at a time, on the executor, where it may block; the next is
// read only after the response was sent. The session object is destroyed on the executor and before
// the client sees the end of the call, so that what it holds (a lock, a file) is free for the
// client's next call. Thread-safe; each call's reactor owns itself.
#ifndef BERTH_BASE_GRPC_BIDI_H_
#define BERTH_BASE_GRPC_BIDI_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <memory>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/grpc/call_info.h"
#include "base/grpc/executor.h"
#include "base/grpc/status_conversion.h"

namespace berth {

enum class BidiNext {
  kRead,    // read the next request after this response
  kFinish,  // end the call with OK after this response
};

template <typename Request, typename Response>
class BidiSession {
 public:
  virtual ~BidiSession() = default;
  // Fills in the answer to `request`. An error ends the call with it; no response is then sent.
  virtual absl::StatusOr<BidiNext> Handle(const Request& request, Response& response) = 0;
  // The client has no more requests; the result is the call's status.
  virtual absl::Status OnEndOfRequests() { return absl::OkStatus(); }
};

namespace grpc_internal {

template <typename Request, typename Response>
class BidiReactor final : public grpc::ServerBidiReactor<Request, Response> {
 public:
  using Session = std::unique_ptr<BidiSession<Request, Response>>;

  BidiReactor(CallInfo call, Executor& executor) : call_(std::move(call)), executor_(executor) {}

  template <typename Function>
  void Start(Function& open) {
    auto session =
        Guarded<absl::StatusOr<Session>>([&]() -> absl::StatusOr<Session> { return open(call_); });
    if (!session.ok()) {
      this->Finish(ToGrpc(session.status()));
      return;
    }
    session_ = *std::move(session);
    this->StartRead(&request_);
  }

 private:
  void OnReadDone(bool ok) override {
    executor_.PostContinuation([this, ok] { ok ? HandleOne() : HandleEnd(); });
  }
  void HandleOne() {
    response_.Clear();
    const auto next =
        Guarded<absl::StatusOr<BidiNext>>([this] { return session_->Handle(request_, response_); });
    if (!next.ok()) return End(next.status());
    next_ = *next;
    this->StartWrite(&response_);
  }
  void HandleEnd() {
    if (call_.cancelled()) return End(absl::CancelledError("the client went away"));
    End(Guarded<absl::Status>([this] { return session_->OnEndOfRequests(); }));
  }
  void OnWriteDone(bool ok) override {
    if (ok && next_ == BidiNext::kRead) {
      request_.Clear();
      this->StartRead(&request_);
      return;
    }
    executor_.PostContinuation(
        [this, ok] { End(ok ? absl::OkStatus() : absl::CancelledError("the client went away")); });
  }
  void End(absl::Status status) {
    session_.reset();
    call_.cancellation->Close();
    this->Finish(ToGrpc(status));
  }
  void OnCancel() override { call_.cancellation->Cancel(); }
  void OnDone() override { delete this; }

  const CallInfo call_;
  Executor& executor_;
  Session session_;
  Request request_;
  Response response_;
  BidiNext next_ = BidiNext::kRead;
};

}  // namespace grpc_internal

// `open`: absl::StatusOr<std::unique_ptr<BidiSession<Request, Response>>>(const CallInfo&), or the
// plain unique_ptr; runs on gRPC's thread and must not block (do the work at the first request).
template <typename Request, typename Response, typename Function>
grpc::ServerBidiReactor<Request, Response>* Bidi(grpc::CallbackServerContext* context,
                                                 Executor& executor, Function open) {
  auto* reactor =
      new grpc_internal::BidiReactor<Request, Response>(ReadCallInfo(*context), executor);
  reactor->Start(open);
  return reactor;
}

}  // namespace berth

#endif  // BERTH_BASE_GRPC_BIDI_H_
