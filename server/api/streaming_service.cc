#include "server/api/streaming_service.h"

#include <google/protobuf/empty.pb.h>

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "base/grpc/call_info.h"
#include "base/grpc/status_conversion.h"
#include "base/os/mutex.h"

namespace berth {
namespace {

using containerd::services::streaming::v1::StreamInit;
using Any = google::protobuf::Any;

// One stream. Lives until gRPC has ended the call and nobody uses it any more. Operations are
// started under the lock, so that none follows the one that ends the call; gRPC runs their ends on
// other threads.
class StreamReactor final : public grpc::ServerBidiReactor<Any, Any>, public image::MessageStream {
 public:
  using Got = absl::AnyInvocable<void(absl::StatusOr<std::optional<Any>>)>;
  using Sent = absl::AnyInvocable<void(bool)>;

  StreamReactor(CallInfo call, image::StreamTable& table) : call_(std::move(call)), table_(table) {}

  void Start(std::shared_ptr<StreamReactor> self) {
    self_ = std::move(self);
    if (const absl::Status status = call_.RequireNamespace(); !status.ok()) {
      return Close(status);
    }
    StartRead(&incoming_);
  }

  void Read(Got got) override {
    absl::Status status;
    {
      MutexLock lock(&mutex_);
      if (!is_over_ && !is_read_out_) {
        got_ = std::move(got);
        // Between two reads nothing is asked of gRPC: the client is held back by its window.
        if (!std::exchange(reading_, true)) StartRead(&incoming_);
        return;
      }
      if (is_over_) status = absl::CancelledError("the stream has ended");
    }
    if (!status.ok()) return got(status);
    got(std::optional<Any>());
  }

  void Write(Any message, Sent sent) override {
    {
      MutexLock lock(&mutex_);
      if (!is_over_ && !is_closing_) {
        queue_.emplace_back(std::move(message), std::move(sent));
        if (!std::exchange(writing_, true)) StartWrite(&queue_.front().first);
        return;
      }
    }
    sent(false);
  }

  size_t queued() const override {
    MutexLock lock(&mutex_);
    return queue_.size();
  }

  void Close(absl::Status status) override {
    {
      MutexLock lock(&mutex_);
      if (is_over_ || std::exchange(is_closing_, true)) return;
      end_ = std::move(status);
      if (writing_) return;
      is_over_ = true;
    }
    End();
  }

 private:
  void OnReadDone(bool ok) override {
    if (ok && !is_named_) return Name();
    Got got;
    {
      MutexLock lock(&mutex_);
      reading_ = false;
      if (!ok) is_read_out_ = true;
      got = std::exchange(got_, nullptr);
    }
    if (!is_named_)
      return Close(absl::InvalidArgumentError("the stream ended before it was named"));
    if (got == nullptr) return;
    if (ok) return got(std::optional<Any>(std::move(incoming_)));
    if (call_.cancelled()) return got(absl::CancelledError("the client went away"));
    got(std::optional<Any>());
  }

  void Name() {
    const absl::StatusOr<StreamInit> init = image::UnpackAny<StreamInit>(incoming_);
    absl::Status status = init.status();
    if (status.ok() && init->id().empty()) {
      status = absl::InvalidArgumentError("the stream's id is empty");
    }
    if (status.ok()) {
      MutexLock lock(&mutex_);
      // Cancelled meanwhile: OnCancel has removed, or will not remove, what is added now.
      if (is_over_) return;
      status = table_.Add(call_.ns, init->id(), self_);
      if (status.ok()) id_ = init->id();
    }
    is_named_ = true;
    if (!status.ok()) return Close(status);
    Write(image::PackAny(google::protobuf::Empty()), [](bool) {});
  }

  void OnWriteDone(bool ok) override {
    Sent sent;
    bool is_last = false;
    {
      MutexLock lock(&mutex_);
      sent = std::move(queue_.front().second);
      queue_.pop_front();
      if (ok && !queue_.empty()) {
        StartWrite(&queue_.front().first);
      } else {
        writing_ = false;
        if (!ok && !std::exchange(is_closing_, true)) {
          end_ = absl::CancelledError("the client went away");
        }
        is_last = is_closing_ && !std::exchange(is_over_, true);
      }
    }
    sent(ok);
    if (is_last) End();
  }

  void OnCancel() override {
    call_.cancellation->Cancel();
    {
      MutexLock lock(&mutex_);
      if (is_over_) return;
      is_closing_ = true;
      end_ = absl::CancelledError("the client went away");
      // The write under way fails and ends the stream.
      if (writing_) return;
      is_over_ = true;
    }
    End();
  }

  // Reached once: by whoever set is_over_.
  void End() {
    std::deque<std::pair<Any, Sent>> rest;
    std::string id;
    absl::Status end;
    {
      MutexLock lock(&mutex_);
      rest.swap(queue_);
      id = id_;
      end = end_;
    }
    if (!id.empty()) table_.Remove(call_.ns, id);
    for (auto& [message, sent] : rest) sent(false);
    call_.cancellation->Close();
    Finish(ToGrpc(end));
  }

  void OnDone() override {
    Got got;
    {
      MutexLock lock(&mutex_);
      got = std::exchange(got_, nullptr);
    }
    if (got != nullptr) got(absl::CancelledError("the stream has ended"));
    std::shared_ptr<StreamReactor> self = std::move(self_);
  }

  const CallInfo call_;
  image::StreamTable& table_;
  Any incoming_;           // belongs to the read under way
  bool is_named_ = false;  // touched by reads only, which are one at a time

  mutable Mutex mutex_;
  std::string id_ ABSL_GUARDED_BY(mutex_);
  Got got_ ABSL_GUARDED_BY(mutex_);
  bool reading_ ABSL_GUARDED_BY(mutex_) = false;
  bool is_read_out_ ABSL_GUARDED_BY(mutex_) = false;
  std::deque<std::pair<Any, Sent>> queue_ ABSL_GUARDED_BY(mutex_);  // the first is being written
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool is_closing_ ABSL_GUARDED_BY(mutex_) = false;
  bool is_over_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status end_ ABSL_GUARDED_BY(mutex_);
  std::shared_ptr<StreamReactor> self_;
};

}  // namespace

grpc::ServerBidiReactor<Any, Any>* StreamingService::Stream(grpc::CallbackServerContext* context) {
  auto reactor = std::make_shared<StreamReactor>(ReadCallInfo(*context), streams_);
  reactor->Start(reactor);
  return reactor.get();
}

}  // namespace berth
