#include "server/api/logs_reactor.h"

#include <algorithm>
#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/grpc/call_info.h"
#include "base/grpc/status_conversion.h"
#include "base/os/mutex.h"
#include "server/engine/log_reader.h"
#include "server/metadata/record.h"
#include "server/task/task_manager.h"

namespace berth {
namespace {

namespace v1 = engine::v1;

// The writer of a log is a process of its own, which the deletion of the task waits for: how often
// and how many times we look whether the task is gone.
constexpr absl::Duration kWriterPause = absl::Milliseconds(25);
constexpr int kWriterLooks = 600;
constexpr absl::Duration kStatusTimeout = absl::Seconds(2);

bool Runs(v1::Status status) {
  return status == v1::STATUS_RUNNING || status == v1::STATUS_PAUSED ||
         status == v1::STATUS_RESTARTING;
}

// One step at a time runs, on the executor; between steps a write is out, or the reactor sleeps
// until the log has grown or the container has ended. Callbacks of others hold it weakly.
class LogsReactor final : public grpc::ServerWriteReactor<v1::LogsResponse>,
                          public std::enable_shared_from_this<LogsReactor> {
 public:
  LogsReactor(CallInfo call, engine::Engine& engine, Executor& executor,
              const v1::LogsRequest& request)
      : call_(std::move(call)), engine_(engine), executor_(executor), request_(request) {}

  void Begin() {
    self_ = shared_from_this();
    if (!executor_.Post([self = self_] { self->Open(); })) {
      Finish(ToGrpc(absl::ResourceExhaustedError("too many calls are waiting; try again")));
    }
  }

 private:
  void Open() {
    absl::Status status = call_.RequireNamespace();
    absl::StatusOr<std::string> id =
        status.ok() ? engine_.table().Resolve(call_.ns, request_.container()) : status;
    if (!id.ok()) return Finish(ToGrpc(id.status()));
    key_ = {call_.ns, *std::move(id)};
    const auto container = engine_.records().Load(key_);
    if (!container.ok()) return Finish(ToGrpc(container.status()));
    if (container->log_path().empty()) {
      return Finish(ToGrpc(absl::FailedPreconditionError(
          absl::StrCat("configured logging driver does not support reading: the container's is \"",
                       container->host_config().log().driver(), "\""))));
    }
    reader_.emplace(container->log_path(), request_);
    if (request_.follow()) {
      watch_ = engine_.log_watch().Add(container->directory(), Waker());
      if (request_.has_until()) {
        const absl::Duration left = metadata::FromTimestamp(request_.until()) - absl::Now();
        engine_.lifecycle().RunAfter(std::max(left, absl::ZeroDuration()), Waker());
      }
    }
    Step();
  }

  std::function<void()> Waker() {
    return [weak = weak_from_this()] {
      if (const auto self = weak.lock()) self->Wake();
    };
  }

  // From any thread.
  void Wake() {
    {
      MutexLock lock(&mutex_);
      has_news_ = true;
      if (!std::exchange(sleeps_, false)) return;
      has_news_ = false;
    }
    Continue();
  }
  void Sleep() {
    {
      MutexLock lock(&mutex_);
      sleeps_ = !std::exchange(has_news_, false);
      if (sleeps_) return;
    }
    Continue();
  }
  void Continue() {
    executor_.PostContinuation([self = shared_from_this()] { self->Step(); });
  }

  // On the executor: one batch, or the end, or sleep.
  void Step() {
    if (call_.cancelled()) return Finish(ToGrpc(absl::CancelledError("the client went away")));
    // Before the look at the state, so that the end is seen by one of the two.
    if (request_.follow()) AwaitEnd();
    // Asked before reading, so that what was written before the end is read after it is known.
    const auto row = engine_.table().Get(key_);
    const bool runs = row.ok() && Runs(row->state.status());
    response_.Clear();
    const absl::StatusOr<size_t> records = reader_->Read(response_);
    if (!records.ok()) return Finish(ToGrpc(records.status()));
    if (response_.entries_size() > 0) return StartWrite(&response_);
    if (*records > 0) return Continue();
    const bool is_late =
        request_.has_until() && absl::Now() > metadata::FromTimestamp(request_.until());
    if (!request_.follow() || reader_->is_past_end() || is_late || (!runs && is_written_)) {
      return Finish(grpc::Status::OK);
    }
    runs ? Sleep() : AwaitWriter();
  }

  void AwaitEnd() {
    if (awaits_end_.exchange(true)) return;
    const auto ticket =
        engine_.lifecycle().Wait(key_, v1::WaitContainerRequest::CONDITION_NEXT_EXIT,
                                 [weak = weak_from_this()](const auto&) {
                                   const auto self = weak.lock();
                                   if (self == nullptr) return;
                                   self->awaits_end_ = false;
                                   self->Wake();
                                 });
    // A container that is gone is seen by the look at its row.
    if (ticket.ok()) ticket_ = *ticket;
  }

  // The container has ended, and all that is logged is written when its task is no more.
  void AwaitWriter() {
    engine_.parts().tasks.life().GetStatus(
        {key_.ns, key_.id}, kStatusTimeout, [self = shared_from_this()](const auto& answer) {
          self->is_written_ = absl::IsNotFound(answer.status()) || ++self->looks_ > kWriterLooks;
          if (self->is_written_) return self->Continue();
          self->engine_.lifecycle().RunAfter(kWriterPause, [self] { self->Continue(); });
        });
  }

  void OnWriteDone(bool ok) override {
    executor_.PostContinuation([self = shared_from_this(), ok] {
      ok ? self->Step() : self->Finish(ToGrpc(absl::CancelledError("the client went away")));
    });
  }
  void OnCancel() override {
    call_.cancellation->Cancel();
    Wake();
  }
  void OnDone() override {
    engine_.log_watch().Remove(watch_);
    if (ticket_ != 0) engine_.lifecycle().CancelWait(key_, ticket_);
    self_.reset();
  }

  const CallInfo call_;
  engine::Engine& engine_;
  Executor& executor_;
  const v1::LogsRequest request_;
  std::shared_ptr<LogsReactor> self_;
  engine::ContainerKey key_;
  std::optional<engine::LogReader> reader_;
  v1::LogsResponse response_;
  engine::LogWatch::Ticket watch_ = engine::LogWatch::Ticket::kNone;
  engine::EndWaiters::Ticket ticket_ = 0;
  std::atomic<bool> awaits_end_{false};
  bool is_written_ = false;
  int looks_ = 0;
  Mutex mutex_;
  bool sleeps_ ABSL_GUARDED_BY(mutex_) = false;
  bool has_news_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace

grpc::ServerWriteReactor<v1::LogsResponse>* ServeLogs(grpc::CallbackServerContext* context,
                                                      engine::Engine& engine, Executor& executor,
                                                      const v1::LogsRequest* request) {
  const auto reactor =
      std::make_shared<LogsReactor>(ReadCallInfo(*context), engine, executor, *request);
  reactor->Begin();
  return reactor.get();
}

}  // namespace berth
