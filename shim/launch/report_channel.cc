#include "shim/launch/report_channel.h"

#include <errno.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"

namespace berth::launch {
namespace {

constexpr int kMaxDescriptors = 4;

}  // namespace

ssize_t ReceiveReport(BorrowedFd socket, int flags, ReceivedReport& out) {
  struct iovec part = {&out.report, sizeof(out.report)};
  alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int) * kMaxDescriptors)];
  struct msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  ssize_t got;
  int resets = 0;
  do {
    got = ::recvmsg(socket.get(), &message, flags | MSG_CMSG_CLOEXEC);
    // A child that ends with a command unread makes the socket say ECONNRESET once, ahead of the
    // reports that are still queued.
  } while (got < 0 && (errno == EINTR || (errno == ECONNRESET && resets++ == 0)));
  if (got <= 0) return got;
  for (struct cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr;
       header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int fd;
      ::memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof(int));
      out.descriptors.emplace_back(fd);
    }
  }
  out.report.detail[sizeof(out.report.detail) - 1] = '\0';
  out.report.timing_count =
      std::min<uint8_t>(out.report.timing_count, static_cast<uint8_t>(init::kMaxTimings));
  return got;
}

absl::Status ToStatus(const init::Report& report) {
  const char* step = init::StepName(report.step);
  absl::string_view what(report.detail);
  if (report.verbatim != 0) {
    // The errno decides the code; the message is whole already.
    const absl::Status coded = ErrnoStatus(report.error_number, "");
    absl::StatusCode code = coded.code();
    if (report.error_number == ECHILD) code = absl::StatusCode::kFailedPrecondition;  // a hook
    return absl::Status(code, what);
  }
  const char* rest = report.detail + what.size() + 1;
  const bool has_object = what.size() + 2 < sizeof(report.detail);
  return Annotate(ErrnoStatus(report.error_number, what, has_object ? rest : ""), step);
}

absl::Status ReportChannel::Open(Loop& loop, UniqueFd socket, OnReport on_report, OnEnd on_end) {
  socket_ = std::move(socket);
  on_report_ = std::move(on_report);
  on_end_ = std::move(on_end);
  BERTH_ASSIGN_OR_RETURN(watch_, loop.Watch(socket_, EPOLLIN, [this](uint32_t) { OnReadable(); }));
  return absl::OkStatus();
}

absl::Status ReportChannel::Send(init::CommandKind kind, const std::vector<UniqueFd>& descriptors) {
  init::Command command{kind};
  struct iovec part = {&command, sizeof(command)};
  alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int) * init::kMaxJoinFiles)] = {};
  struct msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (!descriptors.empty()) {
    const size_t size = sizeof(int) * descriptors.size();
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(size);
    struct cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(size);
    for (size_t i = 0; i < descriptors.size(); ++i) {
      const int fd = descriptors[i].get();
      ::memcpy(CMSG_DATA(header) + i * sizeof(int), &fd, sizeof(int));
    }
  }
  if (::sendmsg(socket_.get(), &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
    return ErrnoStatus(errno, "talk to the container's init");
  }
  return absl::OkStatus();
}

void ReportChannel::Close() {
  watch_.Reset();
  socket_.Reset();
  if (gone_ != nullptr) *gone_ = true;
}

UniqueFd ReportChannel::Release() {
  watch_.Reset();
  if (gone_ != nullptr) *gone_ = true;
  return std::move(socket_);
}

void ReportChannel::OnReadable() {
  bool gone = false;
  gone_ = &gone;
  while (true) {
    ReceivedReport received;
    const ssize_t got = ReceiveReport(socket_, MSG_DONTWAIT, received);
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) break;
    if (got <= 0) {
      watch_.Reset();
      gone_ = nullptr;
      return on_end_();
    }
    if (got != sizeof(init::Report)) continue;  // not ours
    on_report_(received);
    if (gone) return;
  }
  gone_ = nullptr;
}

}  // namespace berth::launch
