#include "server/api/logs_reactor.h"

#include <atomic>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/grpc/call_info.h"
#include "base/grpc/status_conversion.h"
#include "server/engine/log_reader.h"
#include "server/metadata/record.h"

namespace berth {
namespace {

namespace v1 = engine::v1;

// A log that stands still is looked at less and less often.
constexpr absl::Duration kFirstPause = absl::Milliseconds(10);
constexpr absl::Duration kLongestPause = absl::Milliseconds(250);

bool Runs(v1::Status status) {
  return status == v1::STATUS_RUNNING || status == v1::STATUS_PAUSED ||
         status == v1::STATUS_RESTARTING;
}

class LogsReactor final : public grpc::ServerWriteReactor<v1::LogsResponse> {
 public:
  LogsReactor(CallInfo call, engine::Engine& engine, Executor& executor,
              const v1::LogsRequest& request)
      : call_(std::move(call)), engine_(engine), executor_(executor), request_(request) {}

  void Begin() {
    if (!executor_.Post([this] { Open(); })) {
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
    Step();
  }

  // On the executor: one batch, or a pause, or the end.
  void Step() {
    if (call_.cancelled()) return Finish(ToGrpc(absl::CancelledError("the client went away")));
    // Asked before reading, so that what was written before the end is read after it is known.
    const auto row = engine_.table().Get(key_);
    const bool may_grow = request_.follow() && row.ok() && Runs(row->state.status());
    response_.Clear();
    const absl::StatusOr<size_t> records = reader_->Read(response_);
    if (!records.ok()) return Finish(ToGrpc(records.status()));
    if (response_.entries_size() > 0) {
      pause_ = kFirstPause;
      return StartWrite(&response_);
    }
    if (*records > 0) return executor_.PostContinuation([this] { Step(); });
    const bool is_late =
        request_.has_until() && absl::Now() > metadata::FromTimestamp(request_.until());
    // The writer is a process of its own: the last words may come a moment after the exit.
    if (!may_grow && request_.follow() && !reader_->is_past_end() && last_looks_ > 0) {
      --last_looks_;
      return Pause();
    }
    if (!may_grow || reader_->is_past_end() || is_late) return Finish(grpc::Status::OK);
    Pause();
  }

  void Pause() {
    const absl::Duration pause = pause_;
    pause_ = std::min(pause_ * 2, kLongestPause);
    engine_.lifecycle().RunAfter(pause, [this] { executor_.PostContinuation([this] { Step(); }); });
  }

  void OnWriteDone(bool ok) override {
    executor_.PostContinuation(
        [this, ok] { ok ? Step() : Finish(ToGrpc(absl::CancelledError("the client went away"))); });
  }
  void OnCancel() override { call_.cancellation->Cancel(); }
  void OnDone() override { delete this; }

  const CallInfo call_;
  engine::Engine& engine_;
  Executor& executor_;
  const v1::LogsRequest request_;
  engine::ContainerKey key_;
  std::optional<engine::LogReader> reader_;
  v1::LogsResponse response_;
  absl::Duration pause_ = kFirstPause;
  int last_looks_ = 3;
};

}  // namespace

grpc::ServerWriteReactor<v1::LogsResponse>* ServeLogs(grpc::CallbackServerContext* context,
                                                      engine::Engine& engine, Executor& executor,
                                                      const v1::LogsRequest* request) {
  auto* reactor = new LogsReactor(ReadCallInfo(*context), engine, executor, *request);
  reactor->Begin();
  return reactor;
}

}  // namespace berth
