#include "server/task/shim_link.h"

#include <sys/socket.h>

#include "base/os/fd_factories.h"

namespace berth {

ShimLink::ShimLink(Loop& loop, std::string ns, std::string socket_path, ShimApi api,
                   absl::AnyInvocable<void()> on_disconnected)
    : loop_(loop),
      ns_(std::move(ns)),
      socket_path_(std::move(socket_path)),
      service_(api == ShimApi::kV3 ? "containerd.task.v3.Task" : "containerd.task.v2.Task"),
      on_disconnected_(std::move(on_disconnected)) {}

ShimLink::~ShimLink() = default;

void ShimLink::Adopt(UniqueFd socket) {
  client_ = std::make_unique<ttrpc::Client>(loop_, std::move(socket), [this](const absl::Status&) {
    client_.reset();
    if (on_disconnected_) on_disconnected_();  // may destroy this
  });
}

absl::Status ShimLink::EnsureConnected() {
  if (client_ != nullptr && client_->connected()) return absl::OkStatus();
  absl::StatusOr<UniqueFd> socket = ConnectUnix(socket_path_, SOCK_NONBLOCK);
  if (!socket.ok()) {
    return absl::UnavailableError(
        absl::StrCat("the shim does not listen: ", socket.status().message()));
  }
  Adopt(*std::move(socket));
  return absl::OkStatus();
}

void ShimLink::CallRaw(absl::string_view service, absl::string_view method, std::string payload,
                       absl::Duration timeout, ttrpc::Client::Done done) {
  if (const absl::Status connected = EnsureConnected(); !connected.ok()) {
    loop_.Post([connected, done = std::move(done)]() mutable { done(connected); });
    return;
  }
  client_->Call(service, method, std::move(payload), {{ttrpc::kNamespaceKey, ns_}}, timeout,
                std::move(done));
}

void ShimLink::Close() {
  if (auto client = std::move(client_)) client->Close();
}

}  // namespace berth
