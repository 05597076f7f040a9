#include "shim/io/copier.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "base/status/errno_status.h"
#include "base/status/status_macros.h"
#include "proto/berth/shim/v1/handover.pb.h"
#include "shim/handover/packer.h"
#include "shim/handover/unpacker.h"

namespace berth::io {
namespace {

constexpr size_t kBufferBytes = 16 << 10;
// A stream that filled so many reads in a row is a flow. It gets a larger buffer and a larger pipe:
// fewer calls and fewer changes between its writer and us. The rest, and that is nearly every
// container, does without their memory.
constexpr int kReadsOfAFlow = 16;
constexpr size_t kFlowBufferBytes = 64 << 10;
constexpr int kFlowPipeBytes = 256 << 10;
constexpr size_t kSpliceBytes = 1 << 20;
// How often one wake-up moves bytes before other descriptors get their turn.
constexpr int kMovesPerEvent = 16;

bool IsPipe(BorrowedFd fd) {
  struct stat info;
  return ::fstat(fd.get(), &info) == 0 && S_ISFIFO(info.st_mode);
}

absl::Status MakeNonBlocking(BorrowedFd fd) {
  const int flags = ::fcntl(fd.get(), F_GETFL);
  if (flags < 0 || ::fcntl(fd.get(), F_SETFL, flags | O_NONBLOCK) != 0) {
    return ErrnoStatus(errno, "fcntl(O_NONBLOCK)");
  }
  return absl::OkStatus();
}

bool WouldBlock(int error) { return error == EAGAIN || error == EWOULDBLOCK; }

}  // namespace

absl::StatusOr<std::unique_ptr<Copier>> Copier::Start(Loop& loop, UniqueFd source, UniqueFd sink,
                                                      SinkFailure sink_failure, OnEnd on_end) {
  BERTH_RETURN_IF_ERROR(MakeNonBlocking(source));
  if (sink.valid()) {
    BERTH_RETURN_IF_ERROR(MakeNonBlocking(sink));
  }
  std::unique_ptr<Copier> copier(
      new Copier(std::move(source), std::move(sink), sink_failure, std::move(on_end)));
  BERTH_ASSIGN_OR_RETURN(
      copier->source_watch_,
      loop.Watch(copier->source_, EPOLLIN, [self = copier.get()](uint32_t) { self->Run(); }));
  if (copier->sink_.valid()) {
    auto watch = loop.Watch(copier->sink_, 0, [self = copier.get()](uint32_t) { self->Run(); });
    // epoll says whether it can watch the descriptor only when it is asked for an event.
    if (watch.ok() && watch->SetEvents(EPOLLOUT).ok()) {
      BERTH_RETURN_IF_ERROR(watch->SetEvents(0));
      copier->sink_watch_ = *std::move(watch);
    }
  }
  return copier;
}

void Copier::Save(handover::Packer& packer, berth::shim::v1::CopierState& state) const {
  state.set_source(packer.Pack(source_));
  state.set_sink(packer.Pack(sink_));
  state.set_pending(pending_);
  state.set_discarded_bytes(discarded_bytes_);
  state.set_ended(ended_);
  packer.Count(source_watch_);
  packer.Count(sink_watch_);
}

absl::StatusOr<std::unique_ptr<Copier>> Copier::Resume(Loop& loop,
                                                       const berth::shim::v1::CopierState& state,
                                                       handover::Unpacker& unpacker,
                                                       SinkFailure sink_failure, OnEnd on_end) {
  std::unique_ptr<Copier> copier;
  if (state.ended()) {
    copier.reset(new Copier(UniqueFd(), UniqueFd(), sink_failure, nullptr));
    copier->ended_ = true;
  } else {
    BERTH_ASSIGN_OR_RETURN(UniqueFd source,
                           unpacker.Take(state.source(), handover::Kind::kAny, "a stream"));
    BERTH_ASSIGN_OR_RETURN(
        UniqueFd sink, unpacker.TakeIfAny(state.sink(), handover::Kind::kAny, "a stream's target"));
    BERTH_ASSIGN_OR_RETURN(
        copier, Start(loop, std::move(source), std::move(sink), sink_failure, std::move(on_end)));
    copier->pending_ = state.pending();
    // The source may stay silent: what waits goes when the sink has room.
    if (!copier->pending_.empty()) copier->WaitFor(Step::kWaitForSink);
  }
  copier->discarded_bytes_ = state.discarded_bytes();
  return copier;
}

Copier::Copier(UniqueFd source, UniqueFd sink, SinkFailure sink_failure, OnEnd on_end)
    : source_(std::move(source)),
      sink_(std::move(sink)),
      sink_failure_(sink_failure),
      on_end_(std::move(on_end)),
      splice_(sink_.valid() && IsPipe(source_) && IsPipe(sink_)) {}

void Copier::Run() {
  for (int i = 0; i < kMovesPerEvent; ++i) {
    const bool tapped = tap_ != nullptr && tap_->Wants();
    const Step step = !pending_.empty()                                     ? WritePending()
                      : tapped && !tap_->HasRoom()                          ? Step::kWaitForTap
                      : splice_ && !tapped && sink_full_ == SinkFull::kWait ? Splice()
                                                                            : ReadAndWrite();
    if (step == Step::kAgain) continue;
    if (step == Step::kEnd) return End();  // may destroy this
    return WaitFor(step);
  }
}

void Copier::Resume() {
  if (ended_) return;
  (void)source_watch_.SetEvents(EPOLLIN);
}

void Copier::WaitFor(Step step) {
  const bool sink_is_full = step == Step::kWaitForSink && sink_watch_.active();
  const bool reads = !sink_is_full && step != Step::kWaitForTap;
  (void)source_watch_.SetEvents(reads ? uint32_t{EPOLLIN} : 0u);  // was accepted at the start
  if (sink_watch_.active()) (void)sink_watch_.SetEvents(sink_is_full ? uint32_t{EPOLLOUT} : 0u);
}

Copier::Step Copier::Splice() {
  const ssize_t moved = ::splice(source_.get(), nullptr, sink_.get(), nullptr, kSpliceBytes,
                                 SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
  if (moved > 0) return Step::kAgain;
  if (moved == 0) return Step::kEnd;
  if (errno == EINTR) return Step::kAgain;
  if (!WouldBlock(errno)) return SinkFailed();
  // EAGAIN does not say which side it was.
  int readable_bytes = 0;
  const bool source_has_data =
      ::ioctl(source_.get(), FIONREAD, &readable_bytes) == 0 && readable_bytes > 0;
  return source_has_data ? Step::kWaitForSink : Step::kWaitForSource;
}

Copier::Step Copier::ReadAndWrite() {
  char small[kBufferBytes];
  char* const buffer = flow_buffer_ != nullptr ? flow_buffer_.get() : small;
  const size_t room = flow_buffer_ != nullptr ? kFlowBufferBytes : kBufferBytes;
  const ssize_t got = ::read(source_.get(), buffer, room);
  if (got < 0 && errno == EINTR) return Step::kAgain;
  if (got < 0 && WouldBlock(errno)) return Step::kWaitForSource;
  // A terminal's master reads EIO once no process holds the other side.
  if (got <= 0) return Step::kEnd;
  if (static_cast<size_t>(got) < room) {
    full_reads_ = 0;
  } else if (flow_buffer_ == nullptr && ++full_reads_ >= kReadsOfAFlow) {
    // For the next read: `small` is in use.
    flow_buffer_.reset(new char[kFlowBufferBytes]);
    ::fcntl(source_.get(), F_SETPIPE_SZ, kFlowPipeBytes);  // no pipe, or a limit: then not
  }
  if (tap_ != nullptr && tap_->Wants()) tap_->Take(absl::string_view(buffer, got));
  if (!sink_.valid()) {
    discarded_bytes_ += got;
    return Step::kAgain;
  }
  const ssize_t written = ::write(sink_.get(), buffer, got);
  if (written == got) return Step::kAgain;
  if (written < 0 && !WouldBlock(errno) && errno != EINTR) {
    discarded_bytes_ += got;
    return SinkFailed();
  }
  const size_t done = written < 0 ? 0 : written;
  if (sink_full_ == SinkFull::kDrop) {
    discarded_bytes_ += got - done;
    return Step::kAgain;
  }
  pending_.assign(buffer + done, got - done);
  return Step::kAgain;
}

Copier::Step Copier::WritePending() {
  const ssize_t written = ::write(sink_.get(), pending_.data(), pending_.size());
  if (written < 0 && errno == EINTR) return Step::kAgain;
  if (written < 0 && WouldBlock(errno)) return Step::kWaitForSink;
  if (written < 0) {
    discarded_bytes_ += pending_.size();
    return SinkFailed();
  }
  pending_.erase(0, written);
  if (pending_.empty()) std::string().swap(pending_);  // no memory is kept for a rare event
  return Step::kAgain;
}

Copier::Step Copier::SinkFailed() {
  if (sink_failure_ == SinkFailure::kEnd) return Step::kEnd;
  sink_watch_.Reset();
  sink_.Reset();
  splice_ = false;
  std::string().swap(pending_);
  return Step::kAgain;
}

void Copier::End() {
  ended_ = true;
  source_watch_.Reset();
  sink_watch_.Reset();
  source_.Reset();
  sink_.Reset();
  flow_buffer_.reset();
  OnEnd on_end = std::move(on_end_);
  on_end();
}

}  // namespace berth::io
