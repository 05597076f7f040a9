#include "base/grpc/page_stream.h"

#include <pthread.h>

#include <atomic>
#include <utility>

#include "base/grpc/status_conversion.h"

namespace berth {

// One call, from the wish for it to its end. Its operations' ends come to the queue's thread; pages
// are read on the executor, one ahead of the one that is written.
class PageStreams::Call {
 public:
  // What comes out of the queue: which end of which call.
  struct Tag {
    Call* call;
    void (Call::*on_end)(bool ok);
  };

  // Takes the next call of `method`.
  Call(PageStreams& owner, const Method& method) : owner_(owner), method_(method) {
    context_.AsyncNotifyWhenDone(&over_tag_);
    operation_tag_.on_end = &Call::OnRequested;
    method_.request(&context_, &request_, &writer_, owner_.queue_.get(), &operation_tag_);
  }

 private:
  void OnRequested(bool ok) {
    if (!ok) {  // the server is shut down, and there never was a call
      delete this;
      return;
    }
    owner_.CountCalls(1);
    new Call(owner_, method_);
    call_ = ReadCallInfo(context_);
    const bool accepted = owner_.executor_.Post([this] { Open(); });
    if (!accepted) {
      Finish(absl::ResourceExhaustedError(
          "too many calls are waiting to be served; try again in a moment"));
    }
  }
  void Open() {
    auto source = grpc_internal::Guarded<absl::StatusOr<PageSource>>(
        [this] { return method_.open(call_, request_); });
    if (!source.ok()) return Finish(source.status());
    source_ = *std::move(source);
    ReadAhead();
    AwaitPage();
  }
  // On the executor. The next page is read while this one is written.
  void ReadAhead() {
    ahead_.clear();
    while (ahead_.empty() && more_ahead_ && read_.ok()) {
      if (call_.cancelled()) {
        read_ = absl::CancelledError("the client went away");
        break;
      }
      const auto result =
          grpc_internal::Guarded<absl::StatusOr<bool>>([this] { return source_(ahead_); });
      read_ = result.status();
      more_ahead_ = result.value_or(false);
    }
    if (ahead_state_.exchange(Ahead::kRead) == Ahead::kAwaited) TakePage();
  }
  // The page before is written, or the call has failed.
  void AwaitPage() {
    if (ahead_state_.exchange(Ahead::kAwaited) == Ahead::kRead) TakePage();
  }
  // On whichever thread came second: nothing else of the call is under way.
  void TakePage() {
    if (!failure_.ok()) return Finish(failure_);
    if (!read_.ok()) return Finish(read_);
    std::swap(page_, ahead_);
    next_ = 0;
    more_ = more_ahead_;
    if (page_.empty()) return Finish(absl::OkStatus());
    if (more_) {
      ahead_state_.store(Ahead::kReading);
      owner_.executor_.PostContinuation([this] { ReadAhead(); });
    }
    WriteNext();
  }
  void WriteNext() {
    const grpc::ByteBuffer& message = page_[next_++];
    operation_tag_.on_end = &Call::OnWritten;
    grpc::WriteOptions options;
    // What follows at once may go in one write to the socket. Not for the first, with which the
    // call's headers go: gRPC 1.51 never ends an operation that has both and the hint.
    if (began_ && next_ < page_.size()) options.set_buffer_hint();
    began_ = true;
    writer_.Write(message, options, &operation_tag_);
  }
  void OnWritten(bool ok) {
    if (!ok) failure_ = absl::CancelledError("the client went away");
    if (ok && next_ < page_.size()) return WriteNext();
    if (!more_) return Finish(failure_);
    AwaitPage();
  }
  // Requires: no page is being read.
  void Finish(const absl::Status& status) {
    source_ = nullptr;
    call_.cancellation->Close();
    operation_tag_.on_end = &Call::OnFinished;
    writer_.Finish(ToGrpc(status), &operation_tag_);
  }
  void OnFinished(bool) { End(); }
  // Once for each call that began: the client has all, or is gone.
  void OnOver(bool) {
    if (context_.IsCancelled()) call_.cancellation->Cancel();
    End();
  }
  void End() {
    if (--ends_ > 0) return;
    owner_.CountCalls(-1);
    delete this;
  }

  PageStreams& owner_;
  const Method& method_;
  Tag operation_tag_{this, nullptr};
  Tag over_tag_{this, &Call::OnOver};
  grpc::ServerContext context_;
  grpc::ByteBuffer request_;
  grpc::ServerAsyncWriter<grpc::ByteBuffer> writer_{&context_};
  CallInfo call_;
  MessagePage page_;      // that is written
  size_t next_ = 0;       // of page_
  bool more_ = true;      // behind page_
  bool began_ = false;    // to write
  absl::Status failure_;  // of writing

  // The reader's until it says kRead, then of whoever takes the page.
  PageSource source_;
  MessagePage ahead_;
  bool more_ahead_ = true;  // behind ahead_
  absl::Status read_;
  enum class Ahead { kReading, kRead, kAwaited };
  std::atomic<Ahead> ahead_state_{Ahead::kReading};

  int ends_ = 2;  // of the last operation and of the call: the queue's thread only
};

PageStreams::PageStreams(grpc::ServerBuilder& builder, Executor& executor)
    : executor_(executor), queue_(builder.AddCompletionQueue()) {}

PageStreams::~PageStreams() { Stop(); }

void PageStreams::Start(std::vector<Method> methods) {
  methods_ = std::move(methods);
  for (const Method& method : methods_) new Call(*this, method);
  thread_ = std::thread([this] { Run(); });
  ::pthread_setname_np(thread_.native_handle(), "page-streams");
}

void PageStreams::CountCalls(int change) {
  MutexLock lock(&mutex_);
  calls_ += change;
}

void PageStreams::Run() {
  void* tag = nullptr;
  bool ok = false;
  while (queue_->Next(&tag, &ok)) {
    auto* end = static_cast<Call::Tag*>(tag);
    (end->call->*end->on_end)(ok);
  }
}

void PageStreams::Stop() {
  if (stopped_) return;
  stopped_ = true;
  {
    // A call that was cancelled still has an operation to start: the one that ends it.
    const auto none = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return calls_ == 0; };
    MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(&none));
  }
  queue_->Shutdown();
  thread_.joinable() ? thread_.join() : Run();  // a queue must be empty at its end
}

}  // namespace berth
