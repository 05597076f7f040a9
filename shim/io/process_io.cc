#include "shim/io/process_io.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/os/fd_factories.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"

namespace berth::io {
namespace {

constexpr absl::Duration kFirstPoll = absl::Milliseconds(1);
constexpr absl::Duration kLongestPoll = absl::Milliseconds(50);
// For output that a child of an ended process still holds open, and for attached clients to read.
constexpr absl::Duration kHubPatience = absl::Seconds(2);
constexpr absl::Duration kClientPatience = absl::Seconds(10);

bool IsLogger(const Target& target) {
  return target.kind == TargetKind::kBinary || target.kind == TargetKind::kBinaryV2;
}

bool IsLog(const Target& target) {
  return target.kind == TargetKind::kLog || target.kind == TargetKind::kFile;
}

}  // namespace

ProcessIo::ProcessIo(Loop& loop, Request request)
    : loop_(loop),
      request_(std::move(request)),
      out_{.name = "stdout", .tap = HubTap(request_.hub, attach::FrameType::kOutput)},
      err_{.name = "stderr", .tap = HubTap(request_.hub, attach::FrameType::kErrorOutput)} {
  if (request_.hub == nullptr) return;
  request_.hub->set_on_room([this] {
    for (Stream* stream : {&out_, &err_}) {
      if (stream->copier != nullptr) stream->copier->Resume();
    }
  });
}

ProcessIo::~ProcessIo() {
  loop_.Cancel(timer_);
  loop_.Cancel(hub_timer_);
  if (request_.hub != nullptr) request_.hub->set_on_room(nullptr);
}

void ProcessIo::Open(Opened opened) {
  opened_ = std::move(opened);
  open_deadline_ = absl::Now() + request_.open_timeout;
  open_poll_ = kFirstPoll;
  timer_ = loop_.After(absl::ZeroDuration(), [this] { Begin(); });
}

void ProcessIo::Begin() {
  const auto prepare = [this]() -> absl::Status {
    BERTH_RETURN_IF_ERROR(ParseTargets());
    BERTH_RETURN_IF_ERROR(OpenInputNow()) << "stdin";
    if (IsLogger(out_.target)) return StartLogger();
    if (IsLog(out_.target) || IsLog(err_.target)) return StartLog();
    return absl::OkStatus();
  };
  if (absl::Status status = prepare(); !status.ok()) return FinishOpen(std::move(status));
  if (logger_ == nullptr && log_ == nullptr) OpenOutputs();
}

absl::Status ProcessIo::ParseTargets() {
  BERTH_ASSIGN_OR_RETURN(in_target_, ParseTarget(request_.in), _ << "stdin");
  BERTH_ASSIGN_OR_RETURN(out_.target, ParseTarget(request_.out), _ << "stdout");
  if (request_.terminal == Request::Terminal::kNo) {
    BERTH_ASSIGN_OR_RETURN(err_.target, ParseTarget(request_.err), _ << "stderr");
  }
  // One logger reads both streams; it may be named for either.
  if (IsLogger(err_.target) && !IsLogger(out_.target)) {
    if (out_.target.kind != TargetKind::kNull) {
      return absl::InvalidArgumentError("stderr names a logging program and stdout does not");
    }
    out_.target = err_.target;
  }
  if (IsLog(out_.target) && IsLog(err_.target) &&
      (out_.target.kind != err_.target.kind ||
       (out_.target.kind == TargetKind::kLog &&
        (out_.target.path != err_.target.path || !(out_.target.log == err_.target.log))))) {
    return absl::InvalidArgumentError(
        "stdout and stderr name two logs: one log takes both, told apart by their records");
  }
  if (request_.hub == nullptr &&
      (in_target_.kind == TargetKind::kAttach || out_.target.kind == TargetKind::kAttach ||
       err_.target.kind == TargetKind::kAttach)) {
    return absl::InvalidArgumentError("berth-attach: there is no attach socket here");
  }
  return absl::OkStatus();
}

absl::Status ProcessIo::OpenInputNow() {
  if (in_target_.kind == TargetKind::kNull || in_target_.kind == TargetKind::kAttach) {
    return absl::OkStatus();
  }
  BERTH_ASSIGN_OR_RETURN(input_, OpenInput(in_target_));
  return absl::OkStatus();
}

absl::Status ProcessIo::StartLogger() {
  BERTH_ASSIGN_OR_RETURN(
      logger_, Logger::Start(loop_,
                             Logger::Options{.target = out_.target,
                                             .container_id = request_.container_id,
                                             .namespace_name = request_.namespace_name,
                                             .ready_timeout = request_.open_timeout},
                             [this](absl::Status status) { FinishOpen(std::move(status)); }));
  return absl::OkStatus();
}

absl::Status ProcessIo::StartLog() {
  if (request_.fork == nullptr) {
    return absl::UnimplementedError("no logs are written here: name a FIFO");
  }
  LogProcess::Options options;
  for (const Stream* stream : {&out_, &err_}) {
    if (!IsLog(stream->target)) continue;
    options.log = stream->target.log;
    if (stream->target.kind == TargetKind::kFile) options.log.format = LogFormat::kRaw;
    (stream == &out_ ? options.out_path : options.err_path) = stream->target.path;
  }
  options.ready_timeout = request_.open_timeout;
  options.fork = request_.fork;
  BERTH_ASSIGN_OR_RETURN(
      log_, LogProcess::Start(loop_, std::move(options),
                              [this](absl::Status status) { OnLogReady(std::move(status)); }));
  return absl::OkStatus();
}

void ProcessIo::OnLogReady(absl::Status status) {
  if (!status.ok()) return FinishOpen(std::move(status));
  out_.output.sink = log_->TakeOut();
  err_.output.sink = log_->TakeErr();
  OpenOutputs();
}

void ProcessIo::OpenOutputs() {
  for (Stream* stream : {&out_, &err_}) {
    if (stream->target.kind == TargetKind::kNull || stream->target.kind == TargetKind::kAttach ||
        stream->output.sink.valid()) {
      continue;
    }
    auto output = OpenOutput(stream->target);
    if (output.ok()) {
      stream->output = *std::move(output);
      continue;
    }
    if (!absl::IsUnavailable(output.status())) {
      return FinishOpen(Annotate(output.status(), stream->name));
    }
    if (absl::Now() >= open_deadline_) {
      return FinishOpen(absl::DeadlineExceededError(
          absl::StrCat(stream->name, ": ", output.status().message(), " within ",
                       absl::FormatDuration(request_.open_timeout),
                       ": the client has to open it before it asks for the process")));
    }
    // The kernel has no event for "somebody waits to read this FIFO": the open is repeated.
    timer_ = loop_.After(open_poll_, [this] { OpenOutputs(); });
    open_poll_ = std::min(open_poll_ * 2, kLongestPoll);
    return;
  }
  FinishOpen(absl::OkStatus());
}

void ProcessIo::FinishOpen(absl::Status status) {
  if (status.ok() && request_.terminal == Request::Terminal::kNo) status = MakeChildEnds();
  Opened opened = std::move(opened_);
  opened(std::move(status));  // may destroy this
}

absl::Status ProcessIo::MakeChildEnds() {
  if (input_.source.valid()) {
    BERTH_ASSIGN_OR_RETURN(Pipe pipe, MakePipe());
    child_ends_.in = std::move(pipe.read);
    BERTH_ASSIGN_OR_RETURN(
        in_copier_, Copier::Start(loop_, std::move(input_.source), std::move(pipe.write),
                                  Copier::SinkFailure::kEnd, [this] { input_.keep.Reset(); }));
  }
  if (in_target_.kind == TargetKind::kAttach) {
    BERTH_ASSIGN_OR_RETURN(Pipe pipe, MakePipe());
    child_ends_.in = std::move(pipe.read);
    BERTH_RETURN_IF_ERROR(request_.hub->ConnectInput(std::move(pipe.write))) << "stdin";
  }
  if (logger_ != nullptr) {
    child_ends_.out = logger_->TakeOut();
    child_ends_.err = logger_->TakeErr();
  } else {
    BERTH_ASSIGN_OR_RETURN(child_ends_.out, CopyFromPipe(out_), _ << "stdout");
    BERTH_ASSIGN_OR_RETURN(child_ends_.err, CopyFromPipe(err_), _ << "stderr");
  }
  for (const UniqueFd* end : {&child_ends_.in, &child_ends_.out, &child_ends_.err}) {
    if (end->valid() && (request_.pipe_uid != 0 || request_.pipe_gid != 0) &&
        ::fchown(end->get(), request_.pipe_uid, request_.pipe_gid) != 0) {
      return ErrnoStatus(errno, "fchown", "stdio pipe");
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<UniqueFd> ProcessIo::CopyFromPipe(Stream& stream) {
  if (stream.target.kind == TargetKind::kNull) return UniqueFd();
  BERTH_ASSIGN_OR_RETURN(Pipe pipe, MakePipe());
  BERTH_RETURN_IF_ERROR(StartCopier(stream, std::move(pipe.read), std::move(stream.output.sink)));
  return std::move(pipe.write);
}

absl::Status ProcessIo::StartCopier(Stream& stream, UniqueFd source, UniqueFd sink) {
  BERTH_ASSIGN_OR_RETURN(stream.copier, Copier::Start(loop_, std::move(source), std::move(sink),
                                                      Copier::SinkFailure::kDiscard,
                                                      [this, &stream] { OutputEnded(stream); }));
  SetUpCopier(stream);
  return absl::OkStatus();
}

void ProcessIo::SetUpCopier(Stream& stream) {
  stream.copier->set_tap(&stream.tap);
  if (stream.target.kind == TargetKind::kLog && stream.target.log.mode == LogMode::kNonBlocking) {
    stream.copier->set_sink_full(Copier::SinkFull::kDrop);
  }
}

absl::Status ProcessIo::AttachConsole(UniqueFd master) {
  console_ = std::move(master);
  UniqueFd sink = logger_ != nullptr ? logger_->TakeOut() : std::move(out_.output.sink);
  if (logger_ != nullptr) logger_->TakeErr().Reset();
  // Each direction has a descriptor of its own: epoll knows a descriptor once.
  BERTH_ASSIGN_OR_RETURN(UniqueFd reading, DupFd(console_));
  // Without a target the terminal is read all the same, or the process would block on it.
  BERTH_RETURN_IF_ERROR(StartCopier(out_, std::move(reading), std::move(sink)));
  if (in_target_.kind == TargetKind::kAttach) {
    BERTH_ASSIGN_OR_RETURN(UniqueFd typed, DupFd(console_));
    return request_.hub->ConnectInput(std::move(typed));
  }
  if (!input_.source.valid()) return absl::OkStatus();
  BERTH_ASSIGN_OR_RETURN(UniqueFd writing, DupFd(console_));
  BERTH_ASSIGN_OR_RETURN(in_copier_,
                         Copier::Start(loop_, std::move(input_.source), std::move(writing),
                                       Copier::SinkFailure::kEnd, [this] { input_.keep.Reset(); }));
  return absl::OkStatus();
}

absl::Status ProcessIo::Resize(uint16_t columns, uint16_t rows) {
  if (!console_.valid()) {
    return absl::FailedPreconditionError("the process has no terminal to resize");
  }
  struct winsize size = {};
  size.ws_col = columns;
  size.ws_row = rows;
  if (::ioctl(console_.get(), TIOCSWINSZ, &size) != 0)
    return ErrnoStatus(errno, "ioctl(TIOCSWINSZ)");
  return absl::OkStatus();
}

void ProcessIo::CloseInput() {
  input_.keep.Reset();
  if (in_target_.kind == TargetKind::kAttach) request_.hub->CloseInput();
}

void ProcessIo::OutputEnded(Stream& stream) {
  stream.output.keep.Reset();  // the client sees the end
  if (!OutputsEnded()) return;
  if (process_ended_ && request_.hub != nullptr) EndHub();
  OutputsDrained();
}

void ProcessIo::ProcessEnded() {
  if (std::exchange(process_ended_, true) || request_.hub == nullptr) return;
  if (OutputsEnded()) return EndHub();
  hub_timer_ = loop_.After(kHubPatience, [this] { EndHub(); });
}

void ProcessIo::EndHub() {
  loop_.Cancel(hub_timer_);
  request_.hub->End(kClientPatience, [] {});
}

bool ProcessIo::OutputsEnded() const {
  for (const Stream* stream : {&out_, &err_}) {
    if (stream->copier != nullptr && !stream->copier->ended()) return false;
  }
  return true;
}

void ProcessIo::Drain(absl::Duration limit, Drained drained) {
  drained_ = std::move(drained);
  drain_limit_ = limit;
  outputs_awaited_ = true;
  in_copier_.reset();
  input_ = Input();
  child_ends_ = ChildEnds();
  timer_ = loop_.After(OutputsEnded() ? absl::ZeroDuration() : limit, [this] { OutputsDrained(); });
}

void ProcessIo::OutputsDrained() {
  if (!std::exchange(outputs_awaited_, false)) return;
  loop_.Cancel(timer_);
  loop_.Cancel(hub_timer_);
  for (Stream* stream : {&out_, &err_}) {
    if (stream->copier != nullptr && stream->copier->ended()) continue;
    stream->copier.reset();  // somebody else holds the output open
  }
  drain_parts_ = 1 + (logger_ != nullptr) + (log_ != nullptr) + (request_.hub != nullptr);
  if (logger_ != nullptr) logger_->End(drain_limit_, [this] { DrainPartEnded(); });
  if (log_ != nullptr) log_->End(drain_limit_, [this] { DrainPartEnded(); });
  if (request_.hub != nullptr) request_.hub->End(drain_limit_, [this] { DrainPartEnded(); });
  DrainPartEnded();
}

void ProcessIo::DrainPartEnded() {
  if (--drain_parts_ > 0) return;
  Drained drained = std::move(drained_);
  drained();  // may destroy this
}

uint64_t ProcessIo::discarded_bytes() const {
  uint64_t bytes = 0;
  for (const Stream* stream : {&out_, &err_}) {
    if (stream->copier != nullptr) bytes += stream->copier->discarded_bytes();
  }
  return bytes;
}

const LogCounters* ProcessIo::log_counters() const {
  return log_ == nullptr ? nullptr : &log_->counters();
}

}  // namespace berth::io
