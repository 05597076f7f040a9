#include "shim/io/logger.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/os/fd_factories.h"
#include "base/status/status_macros.h"
#include "proto/berth/shim/v1/handover.pb.h"
#include "shim/handover/packer.h"
#include "shim/handover/unpacker.h"

namespace berth::io {
namespace {

constexpr absl::Duration kTermTimeout = absl::Seconds(12);
constexpr absl::Duration kDrainPoll = absl::Milliseconds(5);
// For a program that has read everything to write it away and to end by itself, as most do at the
// end of their input.
constexpr absl::Duration kGrace = absl::Seconds(2);

bool Empty(const UniqueFd& pipe) {
  int bytes = 0;
  return !pipe.valid() || ::ioctl(pipe.get(), FIONREAD, &bytes) != 0 || bytes == 0;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Logger>> Logger::Start(Loop& loop, Options options,
                                                      OnReady on_ready) {
  std::unique_ptr<Logger> logger(new Logger(loop, std::move(options), std::move(on_ready)));
  BERTH_RETURN_IF_ERROR(logger->Spawn())
      << "start the logging program \"" << logger->options_.target.path << "\"";
  return logger;
}

Logger::Logger(Loop& loop, Options options, OnReady on_ready)
    : loop_(loop), options_(std::move(options)), on_ready_(std::move(on_ready)) {}

Logger::~Logger() { loop_.Cancel(timer_); }

absl::Status Logger::Spawn() {
  BERTH_ASSIGN_OR_RETURN(Pipe out, MakePipe());
  BERTH_ASSIGN_OR_RETURN(Pipe err, MakePipe());
  BERTH_ASSIGN_OR_RETURN(Pipe ready, MakePipe());
  SpawnOptions spawn;
  spawn.executable = options_.target.path;
  spawn.arguments = {options_.target.path};
  for (const std::string& argument : options_.target.arguments) {
    spawn.arguments.push_back(argument);
  }
  spawn.environment = {absl::StrCat("CONTAINER_ID=", options_.container_id),
                       absl::StrCat("CONTAINER_NAMESPACE=", options_.namespace_name)};
  spawn.descriptors = {{3, out.read.get()}, {4, err.read.get()}, {5, ready.write.get()}};
  BERTH_ASSIGN_OR_RETURN(process_, berth::Spawn(spawn));
  out_write_ = std::move(out.write);
  err_write_ = std::move(err.write);
  out_read_ = std::move(out.read);
  err_read_ = std::move(err.read);
  ready_read_ = std::move(ready.read);
  BERTH_ASSIGN_OR_RETURN(ready_watch_,
                         loop_.Watch(ready_read_, EPOLLIN, [this](uint32_t) { CheckReady(); }));
  BERTH_ASSIGN_OR_RETURN(exit_watch_,
                         loop_.Watch(process_.pidfd(), EPOLLIN, [this](uint32_t) { OnExit(); }));
  timer_ = loop_.After(options_.ready_timeout, [this] {
    Ready(absl::DeadlineExceededError(
        absl::StrCat("logging program \"", options_.target.path, "\" was not ready within ",
                     absl::FormatDuration(options_.ready_timeout),
                     ": it must close descriptor 5 or write a byte to it")));
  });
  return absl::OkStatus();
}

void Logger::Save(handover::Packer& packer, berth::shim::v1::LoggerState& state) const {
  state.set_pid(process_.pid());
  if (!exited_) state.set_pidfd(packer.Pack(process_.pidfd()));
  state.set_out_write(packer.Pack(out_write_));
  state.set_err_write(packer.Pack(err_write_));
  state.set_out_read(packer.Pack(out_read_));
  state.set_err_read(packer.Pack(err_read_));
  state.set_exited(exited_);
  if (discard_[0] != nullptr) discard_[0]->Save(packer, *state.mutable_discard_out());
  if (discard_[1] != nullptr) discard_[1]->Save(packer, *state.mutable_discard_err());
  if (exited_) packer.Leave(process_.pidfd());
  packer.Count(exit_watch_);
}

absl::StatusOr<std::unique_ptr<Logger>> Logger::Resume(Loop& loop,
                                                       const berth::shim::v1::LoggerState& state,
                                                       handover::Unpacker& unpacker) {
  constexpr char kWhat[] = "a logging program";
  std::unique_ptr<Logger> logger(new Logger(loop, Options(), nullptr));
  const auto take = [&](int fd, UniqueFd& end) -> absl::Status {
    BERTH_ASSIGN_OR_RETURN(end, unpacker.TakeIfAny(fd, handover::Kind::kPipe, kWhat));
    return absl::OkStatus();
  };
  BERTH_RETURN_IF_ERROR(take(state.out_write(), logger->out_write_));
  BERTH_RETURN_IF_ERROR(take(state.err_write(), logger->err_write_));
  BERTH_RETURN_IF_ERROR(take(state.out_read(), logger->out_read_));
  BERTH_RETURN_IF_ERROR(take(state.err_read(), logger->err_read_));
  logger->exited_ = state.exited();
  const auto discard = [&](const berth::shim::v1::CopierState& from,
                           std::unique_ptr<Copier>& to) -> absl::Status {
    BERTH_ASSIGN_OR_RETURN(
        to, Copier::Resume(loop, from, unpacker, Copier::SinkFailure::kDiscard, [] {}));
    return absl::OkStatus();
  };
  if (state.has_discard_out()) {
    BERTH_RETURN_IF_ERROR(discard(state.discard_out(), logger->discard_[0]));
  }
  if (state.has_discard_err()) {
    BERTH_RETURN_IF_ERROR(discard(state.discard_err(), logger->discard_[1]));
  }
  if (logger->exited_) return logger;
  BERTH_ASSIGN_OR_RETURN(UniqueFd pidfd, unpacker.TakePidFd(state.pidfd(), state.pid(), kWhat));
  // Whoever only checks owns no process: the object's end would be the program's.
  if (unpacker.is_check()) return logger;
  logger->process_ = ChildProcess(state.pid(), std::move(pidfd));
  BERTH_ASSIGN_OR_RETURN(logger->exit_watch_,
                         loop.Watch(logger->process_.pidfd(), EPOLLIN,
                                    [self = logger.get()](uint32_t) { self->OnExit(); }));
  return logger;
}

void Logger::CheckReady() {
  char byte;
  const ssize_t got = ::read(ready_read_.get(), &byte, 1);
  if (got < 0 && (errno == EINTR || errno == EAGAIN)) return;
  if (got == 1 || (got == 0 && options_.target.kind == TargetKind::kBinary)) {
    return Ready(absl::OkStatus());
  }
  Ready(absl::UnavailableError(
      absl::StrCat("logging program \"", options_.target.path, "\" gave up before it was ready")));
}

void Logger::Ready(absl::Status status) {
  loop_.Cancel(timer_);
  ready_watch_.Reset();
  ready_read_.Reset();
  OnReady on_ready = std::move(on_ready_);
  on_ready(std::move(status));  // may destroy this
}

void Logger::OnExit() {
  exit_watch_.Reset();
  (void)process_.Wait(absl::ZeroDuration());  // the pidfd says that it has ended: this reaps
  exited_ = true;
  if (on_end_) return Finish();
  if (on_ready_) {
    // It may have become ready and ended in one go; the pipe knows.
    if (ready_watch_.active()) return CheckReady();
  }
  // The container lives on: nobody reads its output any more but us.
  UniqueFd* pipes[2] = {&out_read_, &err_read_};
  for (int i = 0; i < 2; ++i) {
    auto discard = Copier::Start(loop_, std::move(*pipes[i]), UniqueFd(),
                                 Copier::SinkFailure::kDiscard, [] {});
    if (discard.ok()) discard_[i] = *std::move(discard);
  }
}

void Logger::End(absl::Duration drain, OnEnd on_end) {
  on_end_ = std::move(on_end);
  out_write_.Reset();
  err_write_.Reset();
  if (exited_) {
    timer_ = loop_.After(absl::ZeroDuration(), [this] { Finish(); });
    return;
  }
  PollDrained(absl::Now() + drain);
}

void Logger::PollDrained(absl::Time deadline) {
  if (Empty(out_read_) && Empty(err_read_)) {
    timer_ = loop_.After(kGrace, [this] { Terminate(); });
    return;
  }
  if (absl::Now() >= deadline) return Terminate();
  timer_ = loop_.After(kDrainPoll, [this, deadline] { PollDrained(deadline); });
}

void Logger::Terminate() {
  out_read_.Reset();
  err_read_.Reset();
  (void)process_.Signal(SIGTERM);  // gone: then its pidfd says so
  timer_ = loop_.After(kTermTimeout, [this] { (void)process_.Signal(SIGKILL); });
}

void Logger::Finish() {
  loop_.Cancel(timer_);
  OnEnd on_end = std::move(on_end_);
  on_end();  // may destroy this
}

}  // namespace berth::io
