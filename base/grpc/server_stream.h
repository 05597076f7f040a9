// Serves calls that answer with a stream of messages.
//
// PullStream suits file reads: the source is asked for the next message, on the executor, only when
// the last has been taken, so that a slow client holds neither a thread nor memory. PushStream
// suits subscriptions: whoever has news pushes, from any thread, without ever blocking, into a
// queue with a bound; a client that falls behind it loses the stream with RESOURCE_EXHAUSTED, and
// knows that it missed something. Who would rather wait than lose a client pushes while HasRoom()
// and goes on when OnRoom tells. Long lists of small messages: page_stream.h. Thread-safe.
#ifndef BERTH_BASE_GRPC_SERVER_STREAM_H_
#define BERTH_BASE_GRPC_SERVER_STREAM_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <deque>
#include <memory>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "base/grpc/call_info.h"
#include "base/grpc/executor.h"
#include "base/grpc/status_conversion.h"
#include "base/os/mutex.h"

namespace berth {

// Fills in the next message: true, or false at the end. One call at a time; may block. Destroyed on
// the executor, before the client sees the end.
template <typename Response>
using StreamSource = absl::AnyInvocable<absl::StatusOr<bool>(Response&)>;

// The sending end of a subscription. Copies share the stream.
template <typename Response>
class StreamSink {
 public:
  class Impl {
   public:
    virtual ~Impl() = default;
    virtual bool Push(Response response) = 0;
    virtual void Close(absl::Status status) = 0;
    virtual bool HasRoom() const = 0;
    virtual void OnRoom(absl::AnyInvocable<void()> callback) = 0;
  };
  explicit StreamSink(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}

  // False when the stream is over: the client left, fell behind, or Close() was called.
  bool Push(Response response) const { return impl_->Push(std::move(response)); }
  // Ends the stream with `status` once what is queued has been sent.
  void Close(absl::Status status) const { impl_->Close(std::move(status)); }
  // Whether Push would find room; also true when the stream is over.
  bool HasRoom() const { return impl_->HasRoom(); }
  // Set before the first Push: called whenever the queue becomes empty, on a gRPC thread or inside
  // a call of this class; it must not block, and is let go when the stream ends.
  void OnRoom(absl::AnyInvocable<void()> callback) const { impl_->OnRoom(std::move(callback)); }

 private:
  std::shared_ptr<Impl> impl_;
};

namespace grpc_internal {

template <typename Request, typename Response>
class PullReactor final : public grpc::ServerWriteReactor<Response> {
 public:
  using Open =
      absl::AnyInvocable<absl::StatusOr<StreamSource<Response>>(const CallInfo&, const Request&)>;

  PullReactor(CallInfo call, Executor& executor, const Request* request, Open open)
      : call_(std::move(call)), executor_(executor), request_(request), open_(std::move(open)) {}

  void Start() {
    if (!executor_.Post([this] { OpenSource(); })) {
      End(absl::ResourceExhaustedError(
          "too many calls are waiting to be served; try again in a moment"));
    }
  }

 private:
  void OpenSource() {
    auto source =
        Guarded<absl::StatusOr<StreamSource<Response>>>([this] { return open_(call_, *request_); });
    if (!source.ok()) return End(source.status());
    source_ = *std::move(source);
    SendNext();
  }
  void SendNext() {
    if (call_.cancelled()) return End(absl::CancelledError("the client went away"));
    message_.Clear();
    const auto more = Guarded<absl::StatusOr<bool>>([this] { return source_(message_); });
    if (!more.ok()) return End(more.status());
    if (!*more) return End(absl::OkStatus());
    // No buffer hint, though more follows: with it the transport can stall for ever once the window
    // of flow control was used up.
    this->StartWrite(&message_);
  }
  void End(absl::Status status) {
    source_ = nullptr;
    call_.cancellation->Close();
    this->Finish(ToGrpc(status));
  }
  void OnWriteDone(bool ok) override {
    executor_.PostContinuation(
        [this, ok] { ok ? SendNext() : End(absl::CancelledError("the client went away")); });
  }
  void OnCancel() override { call_.cancellation->Cancel(); }
  void OnDone() override { delete this; }

  const CallInfo call_;
  Executor& executor_;
  const Request* const request_;
  Open open_;
  StreamSource<Response> source_;
  Response message_;
};

template <typename Response>
class PushReactor final : public grpc::ServerWriteReactor<Response>,
                          public StreamSink<Response>::Impl,
                          public std::enable_shared_from_this<PushReactor<Response>> {
 public:
  PushReactor(CallInfo call, size_t queue_limit)
      : call_(std::move(call)), queue_limit_(queue_limit) {}

  void HoldSelf() { self_ = this->shared_from_this(); }
  const CallInfo& call() const { return call_; }

  bool Push(Response response) override {
    {
      MutexLock lock(&mutex_);
      if (closed_) return false;
      if (queue_.size() >= queue_limit_) {
        closed_ = true;
        end_ = absl::ResourceExhaustedError(
            absl::StrCat("the stream was closed because ", queue_limit_,
                         " messages waited to be read; subscribe again and list what was missed"));
        return false;  // a full queue has a write under way, whose end finishes the stream
      }
      queue_.push_back(std::move(response));
      if (writing_) return true;
      TakeNext();
    }
    this->StartWrite(&message_);
    return true;
  }
  bool HasRoom() const override {
    MutexLock lock(&mutex_);
    return closed_ || queue_.size() < queue_limit_;
  }
  void OnRoom(absl::AnyInvocable<void()> callback) override { on_room_ = std::move(callback); }
  void Close(absl::Status status) override {
    {
      MutexLock lock(&mutex_);
      if (closed_) return;
      closed_ = true;
      end_ = std::move(status);
      if (writing_) return;
    }
    End();
  }

 private:
  void TakeNext() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    message_ = std::move(queue_.front());
    queue_.pop_front();
    writing_ = true;
  }
  // Reached once: by Close with no write under way, or by the last write.
  void End() {
    call_.cancellation->Close();
    absl::Status end;
    {
      MutexLock lock(&mutex_);
      end = end_;
    }
    this->Finish(ToGrpc(end));
  }
  void OnWriteDone(bool ok) override {
    bool write_next = false;
    bool over = false;
    {
      MutexLock lock(&mutex_);
      writing_ = false;
      if (!ok) {
        queue_.clear();
        if (!closed_) end_ = absl::CancelledError("the client went away");
        closed_ = true;
      }
      write_next = !queue_.empty();
      if (write_next) TakeNext();
      over = !write_next && closed_;
    }
    if (write_next) return this->StartWrite(&message_);
    if (over) return End();
    if (on_room_) on_room_();
  }
  void OnCancel() override {
    call_.cancellation->Cancel();
    Close(absl::CancelledError("the client went away"));
  }
  void OnDone() override {
    on_room_ = nullptr;
    self_.reset();
  }

  const CallInfo call_;
  const size_t queue_limit_;
  absl::AnyInvocable<void()> on_room_;  // set before the first write
  mutable Mutex mutex_;
  std::deque<Response> queue_ ABSL_GUARDED_BY(mutex_);
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status end_ ABSL_GUARDED_BY(mutex_);
  Response message_;  // belongs to the write under way
  std::shared_ptr<PushReactor> self_;
};

}  // namespace grpc_internal

// `open`: absl::StatusOr<StreamSource<Response>>(const CallInfo&, const Request&), runs on the
// executor. The request lives as long as the source.
template <typename Response, typename Request, typename Function>
grpc::ServerWriteReactor<Response>* PullStream(grpc::CallbackServerContext* context,
                                               Executor& executor, const Request* request,
                                               Function open) {
  auto* reactor = new grpc_internal::PullReactor<Request, Response>(
      ReadCallInfo(*context), executor, request, std::move(open));
  reactor->Start();
  return reactor;
}

// `subscribe`: absl::Status(const CallInfo&, const Request&, StreamSink<Response>), runs on gRPC's
// thread and must not block; an error ends the call. The sink may be kept; use CallInfo::OnCancel
// to let it go.
template <typename Response, typename Request, typename Function>
grpc::ServerWriteReactor<Response>* PushStream(grpc::CallbackServerContext* context,
                                               const Request* request, size_t queue_limit,
                                               Function subscribe) {
  auto reactor =
      std::make_shared<grpc_internal::PushReactor<Response>>(ReadCallInfo(*context), queue_limit);
  reactor->HoldSelf();
  // Headers first: a subscriber learns from them that it is subscribed.
  reactor->StartSendInitialMetadata();
  const absl::Status status = grpc_internal::Guarded<absl::Status>(
      [&] { return subscribe(reactor->call(), *request, StreamSink<Response>(reactor)); });
  if (!status.ok()) reactor->Close(status);
  return reactor.get();
}

}  // namespace berth

#endif  // BERTH_BASE_GRPC_SERVER_STREAM_H_
