#include "shim/io/log_process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <initializer_list>
#include <new>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/os/fd_factories.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"
#include "proto/berth/shim/v1/handover.pb.h"
#include "shim/handover/packer.h"
#include "shim/handover/unpacker.h"

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

namespace berth::io {
namespace {

constexpr size_t kMaxReportBytes = 4096;
// Of a pipe to a plain file. Through the usual 64 KB, process and writer go in lockstep: 750 MB/s
// instead of 1,500. Pages are taken from the system only for what waits.
constexpr int kRawPipeBytes = 256 << 10;

// Everything that is not the writer's: the container's pipes above all, whose end it would delay.
void KeepOnly(std::initializer_list<int> kept) {
  std::vector<int> sorted(kept);
  std::sort(sorted.begin(), sorted.end());
  unsigned from = 3;
  for (const int fd : sorted) {
    if (fd < 3) continue;
    if (static_cast<unsigned>(fd) > from) ::close_range(from, fd - 1, 0);
    from = fd + 1;
  }
  ::close_range(from, ~0u, 0);
}

[[noreturn]] void BeWriter(LogWriterPlan plan) {
  KeepOnly({plan.out.pipe.get(), plan.err.pipe.get(), plan.report.get()});
  ::prctl(PR_SET_NAME, "berth-log");
  // As in the shim: only the end of the output ends it. Its pipes are to be read until they end.
  ::signal(SIGPIPE, SIG_IGN);
  ::_exit(RunLogWriter(std::move(plan)));
}

}  // namespace

absl::StatusOr<std::unique_ptr<LogProcess>> LogProcess::Start(Loop& loop, Options options,
                                                              OnReady on_ready) {
  std::unique_ptr<LogProcess> process(new LogProcess(loop, std::move(on_ready)));
  BERTH_RETURN_IF_ERROR(process->Spawn(std::move(options))) << "start the log writer";
  return process;
}

LogProcess::~LogProcess() {
  loop_.Cancel(timer_);
  if (counters_ != nullptr) ::munmap(counters_, sizeof(LogCounters));
}

absl::Status LogProcess::Spawn(Options options) {
  counters_file_.Reset(::memfd_create("berth-log", MFD_CLOEXEC));
  if (!counters_file_.valid()) return ErrnoStatus(errno, "memfd_create");
  if (::ftruncate(counters_file_.get(), sizeof(LogCounters)) != 0) {
    return ErrnoStatus(errno, "ftruncate");
  }
  BERTH_RETURN_IF_ERROR(MapCounters());
  new (counters_) LogCounters();
  LogWriterPlan plan;
  plan.options = options.log;
  plan.counters = counters_;
  BERTH_ASSIGN_OR_RETURN(Pipe report, MakePipe());
  plan.report = std::move(report.write);
  const auto connect = [&options](const std::string& path, LogWriterPlan::Stream& stream,
                                  UniqueFd& ours) -> absl::Status {
    if (path.empty()) return absl::OkStatus();
    BERTH_ASSIGN_OR_RETURN(Pipe pipe, MakePipe());
    if (options.log.mode == LogMode::kNonBlocking &&
        ::fcntl(pipe.write.get(), F_SETPIPE_SZ, static_cast<int>(options.log.max_buffer_bytes)) <
            0) {
      return ErrnoStatus(errno, "fcntl(F_SETPIPE_SZ)", absl::StrCat(options.log.max_buffer_bytes));
    }
    if (options.log.mode == LogMode::kBlocking && options.log.format == LogFormat::kRaw) {
      // Refused to users that have many pipes (pipe(7), pipe-user-pages-soft): then it stays small.
      (void)::fcntl(pipe.write.get(), F_SETPIPE_SZ, kRawPipeBytes);
    }
    stream.path = path;
    stream.pipe = std::move(pipe.read);
    ours = std::move(pipe.write);
    return absl::OkStatus();
  };
  BERTH_RETURN_IF_ERROR(connect(options.out_path, plan.out, out_));
  BERTH_RETURN_IF_ERROR(connect(options.err_path, plan.err, err_));
  BERTH_ASSIGN_OR_RETURN(Forked forked, options.fork());
  if (forked.pid == 0) BeWriter(std::move(plan));
  pidfd_ = std::move(forked.pidfd);
  report_ = std::move(report.read);
  if (::fcntl(report_.get(), F_SETFL, O_NONBLOCK) != 0) return ErrnoStatus(errno, "fcntl");
  BERTH_ASSIGN_OR_RETURN(report_watch_,
                         loop_.Watch(report_, EPOLLIN, [this](uint32_t) { OnReport(); }));
  BERTH_ASSIGN_OR_RETURN(exit_watch_, loop_.Watch(pidfd_, EPOLLIN, [this](uint32_t) { OnExit(); }));
  timer_ = loop_.After(options.ready_timeout, [this, path = options.out_path + options.err_path,
                                               timeout = options.ready_timeout] {
    Ready(absl::DeadlineExceededError(
        absl::StrCat("the log \"", path, "\" could not be opened within ",
                     absl::FormatDuration(timeout), ": does its filesystem hang?")));
  });
  return absl::OkStatus();
}

absl::Status LogProcess::MapCounters() {
  void* page = ::mmap(nullptr, sizeof(LogCounters), PROT_READ | PROT_WRITE, MAP_SHARED,
                      counters_file_.get(), 0);
  if (page == MAP_FAILED) return ErrnoStatus(errno, "mmap");
  counters_ = static_cast<LogCounters*>(page);
  return absl::OkStatus();
}

void LogProcess::Save(handover::Packer& packer, berth::shim::v1::LogWriterState& state) const {
  state.set_pidfd(packer.Pack(pidfd_));
  state.set_counters(packer.Pack(counters_file_));
  state.set_exited(exited_);
  packer.Count(exit_watch_);
}

absl::StatusOr<std::unique_ptr<LogProcess>> LogProcess::Resume(
    Loop& loop, const berth::shim::v1::LogWriterState& state, handover::Unpacker& unpacker) {
  std::unique_ptr<LogProcess> process(new LogProcess(loop, nullptr));
  BERTH_ASSIGN_OR_RETURN(
      process->counters_file_,
      unpacker.Take(state.counters(), handover::Kind::kFile, "the counters of a log"));
  struct stat info;
  if (::fstat(process->counters_file_.get(), &info) != 0 ||
      info.st_size != static_cast<off_t>(sizeof(LogCounters))) {
    return absl::FailedPreconditionError("a log's writer counts otherwise than this program");
  }
  BERTH_RETURN_IF_ERROR(process->MapCounters());
  BERTH_ASSIGN_OR_RETURN(process->pidfd_,
                         unpacker.Take(state.pidfd(), handover::Kind::kAny, "the writer of a log"));
  process->exited_ = state.exited();
  if (process->exited_) return process;
  BERTH_ASSIGN_OR_RETURN(
      process->exit_watch_,
      loop.Watch(process->pidfd_, EPOLLIN, [self = process.get()](uint32_t) { self->OnExit(); }));
  return process;
}

void LogProcess::OnReport() {
  char buffer[512];
  const ssize_t got = ::read(report_.get(), buffer, sizeof(buffer));
  if (got < 0 && (errno == EINTR || errno == EAGAIN)) return;
  if (got > 0) {
    if (report_text_.size() < kMaxReportBytes) report_text_.append(buffer, got);
    return;
  }
  if (report_text_ == "ok") return Ready(absl::OkStatus());
  const std::pair<absl::string_view, absl::string_view> parts =
      absl::StrSplit(report_text_, absl::MaxSplits(' ', 1));
  int error = 0;
  if (absl::SimpleAtoi(parts.first, &error) && error != 0) {
    return Ready(ErrnoStatus(error, "open the log", parts.second));
  }
  Ready(report_text_.empty()
            ? absl::InternalError("the log writer ended before it had opened the log")
            : absl::InvalidArgumentError(parts.second));
}

void LogProcess::Ready(absl::Status status) {
  loop_.Cancel(timer_);
  report_watch_.Reset();
  report_.Reset();
  std::string().swap(report_text_);
  OnReady on_ready = std::move(on_ready_);
  on_ready(std::move(status));  // may destroy this
}

void LogProcess::OnExit() {
  exit_watch_.Reset();
  siginfo_t info = {};
  (void)::waitid(static_cast<idtype_t>(P_PIDFD), static_cast<id_t>(pidfd_.get()), &info,
                 WEXITED | WNOHANG);
  exited_ = true;
  if (on_end_) Finish();  // may destroy this
}

void LogProcess::End(absl::Duration limit, OnEnd on_end) {
  on_end_ = std::move(on_end);
  out_.Reset();
  err_.Reset();
  timer_ = loop_.After(exited_ ? absl::ZeroDuration() : limit, [this] {
    // One that hangs in the filesystem ends when that comes back; nobody waits for it.
    if (!exited_) ::syscall(SYS_pidfd_send_signal, pidfd_.get(), SIGKILL, nullptr, 0);
    Finish();
  });
}

void LogProcess::Finish() {
  loop_.Cancel(timer_);
  OnEnd on_end = std::move(on_end_);
  on_end();  // may destroy this
}

}  // namespace berth::io
