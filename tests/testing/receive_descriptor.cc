#include "tests/testing/receive_descriptor.h"

#include <poll.h>
#include <sys/socket.h>

#include <utility>

#include "base/os/descriptor_message.h"

namespace berth {
namespace {

constexpr int kPatienceMs = 10'000;

}  // namespace

UniqueFd AcceptDescriptor(BorrowedFd listener, std::string& text) {
  struct pollfd wait = {listener.get(), POLLIN, 0};
  if (::poll(&wait, 1, kPatienceMs) != 1) return UniqueFd();
  const UniqueFd connection(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (!connection.valid()) return UniqueFd();
  absl::StatusOr<DescriptorMessage> message = ReceiveDescriptor(connection, 4096);
  if (!message.ok()) return UniqueFd();
  text = std::move(message->text);
  return std::move(message->descriptor);
}

}  // namespace berth
