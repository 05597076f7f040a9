#include "shim/init/reporter.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

namespace berth::init {
namespace {

constexpr int kMaxDescriptors = 4;

int64_t NowNs() {
  struct timespec now;
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t{now.tv_sec} * 1000000000 + now.tv_nsec;
}

}  // namespace

void Reporter::NoteTime() {
  const int64_t now = NowNs();
  if (step_ != Step::kNone && report_.timing_count < kMaxTimings) {
    Report::Timing& timing = report_.timings[report_.timing_count++];
    timing.step = step_;
    timing.microseconds_of_step = static_cast<uint32_t>((now - step_began_ns_) / 1000);
  }
  step_began_ns_ = now;
}

void Reporter::Begin(Step step) {
  NoteTime();
  step_ = step;
}

void Reporter::Transmit(const int* descriptors, int count) {
  count = std::min(count, kMaxDescriptors);
  struct iovec part = {&report_, sizeof(report_)};
  alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int) * kMaxDescriptors)] = {};
  struct msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (count > 0) {
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(sizeof(int) * static_cast<size_t>(count));
    struct cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int) * static_cast<size_t>(count));
    ::memcpy(CMSG_DATA(header), descriptors, sizeof(int) * static_cast<size_t>(count));
  }
  while (::sendmsg(control_, &message, MSG_NOSIGNAL) < 0) {
    if (errno == EINTR) continue;
    End();  // the parent is gone
  }
}

void Reporter::End() { ::_exit(1); }

void Reporter::Send(ReportKind kind, const int* descriptors, int count, int32_t pid) {
  NoteTime();
  report_.kind = kind;
  report_.step = step_;
  report_.error_number = 0;
  report_.pid = pid;
  report_.descriptor_count = count;
  report_.detail[0] = '\0';
  Transmit(descriptors, count);
  report_.timing_count = 0;
  step_ = Step::kNone;
}

int Reporter::Await(CommandKind kind, int* descriptors, int room) {
  Command command;
  struct iovec part = {&command, sizeof(command)};
  alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int) * kMaxJoinFiles)];
  struct msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (room > 0) {
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(sizeof(int) * static_cast<size_t>(room));
  }
  ssize_t got;
  do {
    got = ::recvmsg(control_, &message, MSG_CMSG_CLOEXEC);
  } while (got < 0 && errno == EINTR);
  if (got != sizeof(command)) End();
  if (command.kind != kind) FailVerbatim(EPROTO, "parent and child lost step");
  const struct cmsghdr* header = CMSG_FIRSTHDR(&message);
  if (header == nullptr) return 0;
  const int count =
      std::min(static_cast<int>((header->cmsg_len - CMSG_LEN(0)) / sizeof(int)), room);
  ::memcpy(descriptors, CMSG_DATA(header), sizeof(int) * static_cast<size_t>(count));
  return count;
}

void Reporter::Fail(int error_number, absl::string_view what, absl::string_view object) {
  report_.kind = ReportKind::kFailed;
  report_.step = step_;
  report_.error_number = error_number;
  report_.verbatim = 0;
  const size_t room = sizeof(report_.detail) - 2;
  const size_t what_size = std::min(what.size(), room / 2);
  const size_t object_size = std::min(object.size(), room - what_size);
  ::memcpy(report_.detail, what.data(), what_size);
  report_.detail[what_size] = '\0';
  if (object_size > 0) ::memcpy(report_.detail + what_size + 1, object.data(), object_size);
  report_.detail[what_size + 1 + object_size] = '\0';
  report_.descriptor_count = 0;
  Transmit(nullptr, 0);
  End();
}

void Reporter::FailVerbatim(int error_number, absl::string_view message) {
  report_.kind = ReportKind::kFailed;
  report_.step = step_;
  report_.error_number = error_number;
  report_.verbatim = 1;
  const size_t size = std::min(message.size(), sizeof(report_.detail) - 1);
  ::memcpy(report_.detail, message.data(), size);
  report_.detail[size] = '\0';
  report_.descriptor_count = 0;
  Transmit(nullptr, 0);
  End();
}

void Reporter::FailFormat(int error_number, const char* format, ...) {
  char text[sizeof(report_.detail)];
  va_list arguments;
  va_start(arguments, format);
  ::vsnprintf(text, sizeof(text), format, arguments);
  va_end(arguments);
  FailVerbatim(error_number, text);
}

}  // namespace berth::init
