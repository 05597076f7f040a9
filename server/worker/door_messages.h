// What berthd and its TLS door say to each other, one message of a SOCK_SEQPACKET each.
//
// Invariant: a message is at most kMaxDoorText bytes and one descriptor. Thread-safe functions.
#ifndef BERTH_SERVER_WORKER_DOOR_MESSAGES_H_
#define BERTH_SERVER_WORKER_DOOR_MESSAGES_H_

#include <cstddef>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/os/unique_fd.h"

namespace berth::worker {

inline constexpr size_t kMaxDoorText = 2048;  // what is longer is cut

// The first byte; the rest is text. All from the door.
inline constexpr char kDoorOpen = 'o';        // first: it accepts
inline constexpr char kDoorShut = 's';        // instead of it: why it cannot; then it ends
inline constexpr char kDoorClient = 'c';      // the client's subject, with the socket to serve
inline constexpr char kDoorTurnedAway = 't';  // the client's address, and why

struct DoorMessage {
  char kind = 0;  // 0: the other side has gone
  std::string text;
  UniqueFd socket;
};

// Never waits. Errors: RESOURCE_EXHAUSTED or as errno where the other side does not listen.
absl::Status SendDoorMessage(BorrowedFd control, char kind, absl::string_view text,
                             BorrowedFd socket);
// Waits for one, or for the end of the other side. Blocks.
absl::StatusOr<DoorMessage> ReceiveDoorMessage(BorrowedFd control);

}  // namespace berth::worker

#endif  // BERTH_SERVER_WORKER_DOOR_MESSAGES_H_
