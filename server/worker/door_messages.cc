#include "server/worker/door_messages.h"

#include <errno.h>
#include <sys/socket.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/os/descriptor_message.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"

namespace berth::worker {

absl::Status SendDoorMessage(BorrowedFd control, char kind, absl::string_view text,
                             BorrowedFd socket) {
  const std::string message =
      absl::StrCat(absl::string_view(&kind, 1), text.substr(0, kMaxDoorText));
  return Annotate(SendDescriptor(control, message, socket, MSG_DONTWAIT),
                  "the door's control socket");
}

absl::StatusOr<DoorMessage> ReceiveDoorMessage(BorrowedFd control) {
  absl::StatusOr<DescriptorMessage> message = ReceiveDescriptor(control, 1 + kMaxDoorText);
  DoorMessage result;
  if (!message.ok()) {
    if (ErrnoOf(message.status()) == ECONNRESET) return result;
    return Annotate(message.status(), "the door's control socket");
  }
  if (message->text.empty()) return result;
  result.kind = message->text[0];
  result.text = message->text.substr(1);
  result.socket = std::move(message->descriptor);
  return result;
}

}  // namespace berth::worker
