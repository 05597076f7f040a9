#include "client/sdk/connection.h"

#include <grpcpp/grpcpp.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/grpc/status_conversion.h"
#include "base/os/fd_factories.h"
#include "client/sdk/stubs.h"

namespace berth::client {
namespace {

// The API's limit is 16 MiB a message; the slack is for headers of lists.
constexpr int kMaxMessageBytes = (16 << 20) + 4096;

constexpr char kNamespaceHeader[] = "containerd-namespace";
constexpr char kLeaseHeader[] = "containerd-lease";

absl::Status CannotReach(absl::string_view address, absl::string_view cause) {
  return absl::UnavailableError(
      absl::StrCat("cannot reach berthd at ", address, " (", cause,
                   "). Is it running? Start it with `berthd --address ", address,
                   "`, or name another socket with --address or BERTH_ADDRESS"));
}

}  // namespace

Stubs::Stubs(const std::shared_ptr<grpc::Channel>& channel)
    : containers(containerd::services::containers::v1::Containers::NewStub(channel)),
      content(containerd::services::content::v1::Content::NewStub(channel)),
      diff(containerd::services::diff::v1::Diff::NewStub(channel)),
      engine(::berth::engine::v1::Engine::NewStub(channel)),
      events(containerd::services::events::v1::Events::NewStub(channel)),
      images(containerd::services::images::v1::Images::NewStub(channel)),
      introspection(containerd::services::introspection::v1::Introspection::NewStub(channel)),
      leases(containerd::services::leases::v1::Leases::NewStub(channel)),
      namespaces(containerd::services::namespaces::v1::Namespaces::NewStub(channel)),
      image_forms(::berth::images::v1::Images::NewStub(channel)),
      registries(::berth::images::v1::Registries::NewStub(channel)),
      snapshots(containerd::services::snapshots::v1::Snapshots::NewStub(channel)),
      streaming(containerd::services::streaming::v1::Streaming::NewStub(channel)),
      tasks(containerd::services::tasks::v1::Tasks::NewStub(channel)),
      transfer(containerd::services::transfer::v1::Transfer::NewStub(channel)),
      version(containerd::services::version::v1::Version::NewStub(channel)) {}

struct Connection::Shared {
  Shared(std::string socket_path, const std::shared_ptr<grpc::Channel>& channel)
      : address(std::move(socket_path)), stubs(channel) {}

  const std::string address;
  const Stubs stubs;
};

absl::StatusOr<Connection> Connection::Open(const ConnectionOptions& options) {
  const std::string path(absl::StripPrefix(options.address, "unix://"));
  if (absl::StatusOr<UniqueFd> probe = ConnectUnix(path); !probe.ok()) {
    return CannotReach(path, probe.status().message());
  }
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kMaxMessageBytes);
  arguments.SetMaxSendMessageSize(kMaxMessageBytes);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 50);
  // This one is the time that an attempt may take: a busy machine needs more than a moment.
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 20'000);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 500);
  const std::shared_ptr<grpc::Channel> channel = grpc::CreateCustomChannel(
      absl::StrCat("unix:", path), grpc::InsecureChannelCredentials(), arguments);
  Connection connection;
  connection.shared_ = std::make_shared<const Shared>(path, channel);
  connection.ns_ = options.ns;
  return connection;
}

const std::string& Connection::address() const { return shared_->address; }

Connection Connection::WithLease(std::string lease) const {
  Connection copy = *this;
  copy.lease_ = std::move(lease);
  return copy;
}

Connection Connection::WithNamespace(std::string ns) const {
  Connection copy = *this;
  copy.ns_ = std::move(ns);
  return copy;
}

const Stubs& Connection::stubs() const { return shared_->stubs; }

void Connection::Prepare(grpc::ClientContext& context, absl::Duration timeout) const {
  context.AddMetadata(kNamespaceHeader, ns_);
  if (!lease_.empty()) context.AddMetadata(kLeaseHeader, lease_);
  if (timeout != absl::InfiniteDuration()) {
    context.set_deadline(absl::ToChronoTime(absl::Now() + timeout));
  }
}

absl::Status Connection::ToStatus(const grpc::Status& status) const {
  absl::Status converted = FromGrpc(status);
  if (absl::IsUnimplemented(converted) && converted.message().empty()) {
    return absl::UnimplementedError("the server does not offer this call");
  }
  if (!absl::IsUnavailable(converted)) return converted;
  // gRPC's own text for a lost socket names neither the program nor a cure.
  if (absl::StrContains(converted.message(), "failed to connect") ||
      absl::StrContains(converted.message(), "Socket closed") ||
      absl::StrContains(converted.message(), "Connection reset")) {
    return CannotReach(address(), converted.message());
  }
  return converted;
}

}  // namespace berth::client
