#include "client/sdk/connection.h"

#include <grpcpp/grpcpp.h>

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "base/grpc/status_conversion.h"
#include "base/os/fd_factories.h"
#include "base/status/status_macros.h"
#include "client/sdk/server_address.h"
#include "client/sdk/stubs.h"
#include "client/sdk/tcp_dial.h"
#include "client/sdk/tls_dialer.h"
#include "client/sdk/tls_tunnel.h"

namespace berth::client {
namespace {

// The API's limit is 16 MiB a message; the slack is for headers of lists.
constexpr int kMaxMessageBytes = (16 << 20) + 4096;

constexpr char kNamespaceHeader[] = "containerd-namespace";
constexpr char kLeaseHeader[] = "containerd-lease";

constexpr absl::Duration kProbePatience = absl::Seconds(20);
constexpr char kPlainPort[] = "2375";
constexpr char kTlsPort[] = "2376";

absl::Status CannotReach(absl::string_view address, absl::string_view cause) {
  if (absl::StartsWith(address, "tcp://")) {
    return absl::UnavailableError(
        absl::StrCat("cannot reach berthd at ", address, " (", cause,
                     "). Does it run there, with this as grpc.tcp_address in its configuration? "
                     "Another address is named with --address or BERTH_ADDRESS"));
  }
  return absl::UnavailableError(
      absl::StrCat("cannot reach berthd at ", address, " (", cause,
                   "). Is it running? Start it with `berthd --address ", address,
                   "`, or name another socket with --address or BERTH_ADDRESS"));
}

absl::Status CannotTalk(const ServerAddress& address, const absl::Status& cause) {
  if (absl::IsUnavailable(cause) || absl::IsDeadlineExceeded(cause)) {
    return CannotReach(address.ToString(), cause.message());
  }
  return absl::Status(cause.code(),
                      absl::StrCat("TLS with ", address.ToString(), ": ", cause.message()));
}

// How gRPC is to reach the server.
struct Way {
  std::string target;
  std::unique_ptr<TlsTunnel> tunnel;  // where there is one, it must outlive the channel
};

absl::StatusOr<Way> UnixWay(const ServerAddress& address) {
  if (absl::StatusOr<UniqueFd> probe = ConnectUnix(address.path); !probe.ok()) {
    return CannotReach(address.path, probe.status().message());
  }
  return Way{absl::StrCat("unix:", address.path), nullptr};
}

absl::StatusOr<Way> PlainWay(const ServerAddress& address) {
  const absl::Time deadline = absl::Now() + kProbePatience;
  absl::StatusOr<UniqueFd> probe = DialTcp(address.host, address.port, deadline);
  if (!probe.ok()) return CannotReach(address.ToString(), probe.status().message());
  const absl::Status plain = CheckSpeaksPlainHttp2(*std::move(probe), deadline);
  if (!plain.ok()) {
    return absl::FailedPreconditionError(
        absl::StrCat(address.ToString(), " cannot be talked to in the clear: ", plain.message(),
                     ". berthd serves TCP with TLS: name its authority and a client's "
                     "certificate with --tlscacert, --tlscert and --tlskey, or the directory of "
                     "all three with BERTH_CERT_PATH"));
  }
  return Way{absl::StrCat("dns:///", absl::StripPrefix(address.ToString(), "tcp://")), nullptr};
}

absl::StatusOr<Way> TlsWay(const ServerAddress& address, const ConnectionOptions& options) {
  BERTH_ASSIGN_OR_RETURN(TlsDialer dialer, TlsDialer::Make(address, *options.tls));
  if (!dialer.warning().empty() && options.warn) options.warn(dialer.warning());
  absl::StatusOr<std::unique_ptr<TlsTunnel>> tunnel = TlsTunnel::Open(std::move(dialer));
  if (!tunnel.ok()) return CannotTalk(address, tunnel.status());
  std::string target = (*tunnel)->target();
  return Way{std::move(target), *std::move(tunnel)};
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
  Shared(ServerAddress where, Way reached, std::shared_ptr<grpc::Channel> connected)
      : address(std::move(where)),
        text(address.ToString()),
        way(std::move(reached)),
        channel(std::move(connected)),
        stubs(channel) {}

  const ServerAddress address;
  const std::string text;
  const Way way;
  // Both go before the tunnel that the channel uses.
  const std::shared_ptr<grpc::Channel> channel;
  const Stubs stubs;
};

absl::StatusOr<Connection> Connection::Open(const ConnectionOptions& options) {
  BERTH_ASSIGN_OR_RETURN(ServerAddress address, ParseServerAddress(options.address));
  if (address.port.empty()) address.port = options.tls.has_value() ? kTlsPort : kPlainPort;
  BERTH_ASSIGN_OR_RETURN(Way way, !address.is_tcp()         ? UnixWay(address)
                                  : options.tls.has_value() ? TlsWay(address, options)
                                                            : PlainWay(address));
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kMaxMessageBytes);
  arguments.SetMaxSendMessageSize(kMaxMessageBytes);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 50);
  // This one is the time that an attempt may take: a busy machine needs more than a moment.
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 20'000);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 500);
  const std::shared_ptr<grpc::Channel> channel =
      grpc::CreateCustomChannel(way.target, grpc::InsecureChannelCredentials(), arguments);
  Connection connection;
  connection.shared_ = std::make_shared<const Shared>(std::move(address), std::move(way), channel);
  connection.ns_ = options.ns;
  return connection;
}

const std::string& Connection::address() const { return shared_->text; }

const std::string& Connection::target() const { return shared_->way.target; }

absl::Status Connection::RequireSameMachine(absl::string_view command) const {
  if (!shared_->address.is_tcp()) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      command, " carries input and output through named pipes of this machine, which a server at ",
      address(),
      " cannot open: use it on the server's machine with its unix socket, or `berth run`, `berth "
      "exec`, `berth attach` and `berth logs`, which work from afar"));
}

void Connection::AwaitServer(absl::Duration patience) const {
  shared_->channel->WaitForConnected(absl::ToChronoTime(absl::Now() + patience));
}

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
    const absl::Status dialed =
        shared_->way.tunnel == nullptr ? absl::OkStatus() : shared_->way.tunnel->last_dial();
    return CannotReach(address(), dialed.ok() ? converted.message() : dialed.message());
  }
  return converted;
}

}  // namespace berth::client
