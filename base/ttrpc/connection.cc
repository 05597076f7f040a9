#include "base/ttrpc/connection.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"

namespace berth::ttrpc {
namespace {

constexpr size_t kReadBytes = 16 << 10;
// How much one wake-up reads before other descriptors get their turn.
constexpr int kReadsPerEvent = 16;

}  // namespace

absl::StatusOr<std::unique_ptr<Connection>> Connection::Create(Loop& loop, UniqueFd socket,
                                                               OnFrame on_frame, OnLost on_lost) {
  const int flags = ::fcntl(socket.get(), F_GETFL);
  if (flags < 0 || ::fcntl(socket.get(), F_SETFL, flags | O_NONBLOCK) != 0) {
    return ErrnoStatus(errno, "fcntl(O_NONBLOCK)", "ttrpc socket");
  }
  std::unique_ptr<Connection> connection(
      new Connection(loop, std::move(socket), std::move(on_frame), std::move(on_lost)));
  BERTH_ASSIGN_OR_RETURN(connection->watch_, loop.Watch(connection->socket_, EPOLLIN,
                                                        [self = connection.get()](uint32_t events) {
                                                          self->OnEvents(events);
                                                        }));
  return connection;
}

Connection::Connection(Loop& loop, UniqueFd socket, OnFrame on_frame, OnLost on_lost)
    : loop_(loop),
      socket_(std::move(socket)),
      on_frame_(std::move(on_frame)),
      on_lost_(std::move(on_lost)) {}

Connection::~Connection() {
  if (destroyed_ != nullptr) *destroyed_ = true;
}

Connection::State Connection::Save() const {
  State state{.partial_input = reader_.partial(),
              .input_bytes_to_discard = reader_.bytes_to_discard()};
  size_t written_bytes = first_written_bytes_;
  for (const std::string& frame : output_) {
    state.output.append(frame, std::exchange(written_bytes, 0));
  }
  return state;
}

absl::StatusOr<std::unique_ptr<Connection>> Connection::Resume(Loop& loop, UniqueFd socket,
                                                               State state, OnFrame on_frame,
                                                               OnLost on_lost) {
  BERTH_ASSIGN_OR_RETURN(auto connection,
                         Create(loop, std::move(socket), std::move(on_frame), std::move(on_lost)));
  connection->reader_ = FrameReader(std::move(state.partial_input), state.input_bytes_to_discard);
  if (!state.output.empty()) {
    connection->queued_bytes_ = state.output.size();
    connection->output_.push_back(std::move(state.output));
    connection->UpdateInterest();
  }
  return connection;
}

void Connection::SetReading(Reading reading) {
  reading_ = reading;
  if (!broken_) UpdateInterest();
}

absl::Status Connection::Send(uint32_t stream_id, FrameType type, absl::string_view data) {
  if (broken_) return absl::UnavailableError("ttrpc connection is lost");
  if (data.size() > kMaxMessageBytes) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "ttrpc message of ", data.size(), " bytes exceeds the limit of ", kMaxMessageBytes));
  }
  if (queued_bytes_ + data.size() > kMaxQueuedBytes) {
    return absl::ResourceExhaustedError("the ttrpc peer does not read: its queue is full");
  }
  output_.push_back(EncodeFrame(stream_id, type, data));
  queued_bytes_ += output_.back().size();
  if (output_.size() == 1) {
    if (const absl::Status status = Flush(); !status.ok()) {
      Abort();  // on_lost must not run inside a call of the owner's
      return absl::UnavailableError(status.message());
    }
  }
  UpdateInterest();
  return absl::OkStatus();
}

void Connection::Abort() {
  broken_ = true;
  // The hang-up event that this causes comes whatever the peer does, and runs OnEvents.
  ::shutdown(socket_.get(), SHUT_RDWR);
  (void)watch_.SetEvents(EPOLLIN);
}

absl::Status Connection::Flush() {
  while (!output_.empty()) {
    const std::string& frame = output_.front();
    const ssize_t written =
        ::send(socket_.get(), frame.data() + first_written_bytes_,
               frame.size() - first_written_bytes_, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return absl::OkStatus();
    if (written < 0) return ErrnoStatus(errno, "send");
    first_written_bytes_ += written;
    if (first_written_bytes_ < frame.size()) continue;
    queued_bytes_ -= frame.size();
    first_written_bytes_ = 0;
    output_.pop_front();
  }
  return absl::OkStatus();
}

void Connection::UpdateInterest() {
  uint32_t events = 0;
  if (reading_ == Reading::kYes && queued_bytes_ <= kPauseReadingBytes) events |= EPOLLIN;
  if (!output_.empty()) events |= EPOLLOUT;
  (void)watch_.SetEvents(events);  // the descriptor is in the set: only a mask changes
}

void Connection::Lose(const absl::Status& reason) {
  watch_.Reset();
  broken_ = true;
  OnLost on_lost = std::move(on_lost_);
  on_lost(reason);  // may destroy this
}

void Connection::OnEvents(uint32_t epoll_events) {
  if (broken_) return Lose(absl::UnavailableError("ttrpc connection is lost"));
  if ((epoll_events & EPOLLOUT) != 0) {
    if (const absl::Status status = Flush(); !status.ok()) return Lose(status);
    UpdateInterest();
  }
  // A hang-up may come with data that is still to be read; the read then finds the end.
  if (reading_ == Reading::kNo) return;
  if ((epoll_events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) Read();
}

void Connection::Read() {
  char buffer[kReadBytes];
  bool destroyed = false;
  for (int i = 0; i < kReadsPerEvent; ++i) {
    const ssize_t got = ::recv(socket_.get(), buffer, sizeof(buffer), MSG_DONTWAIT);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
    if (got < 0) return Lose(ErrnoStatus(errno, "recv"));
    if (got == 0) return Lose(absl::UnavailableError("ttrpc peer closed the connection"));
    destroyed_ = &destroyed;
    reader_.Feed(absl::string_view(buffer, got),
                 [&](const FrameHeader& header, absl::string_view data) {
                   on_frame_(header, data);
                   return destroyed ? FrameReader::Verdict::kStop : FrameReader::Verdict::kContinue;
                 });
    if (destroyed) return;
    destroyed_ = nullptr;
    if (static_cast<size_t>(got) < sizeof(buffer) || queued_bytes_ > kPauseReadingBytes) return;
  }
}

}  // namespace berth::ttrpc
