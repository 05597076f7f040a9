// What the server says about itself and what happens in it: the Version, Introspection and Events
// services, typed. Thread-safe.
#ifndef BERTH_CLIENT_SDK_SERVER_CLIENT_H_
#define BERTH_CLIENT_SDK_SERVER_CLIENT_H_

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/sdk/connection.h"
#include "proto/containerd/services/events/v1/events.pb.h"
#include "proto/containerd/services/introspection/v1/introspection.pb.h"
#include "proto/containerd/services/version/v1/version.pb.h"

namespace berth::client {

using EventEnvelope = containerd::services::events::v1::Envelope;
using PluginRecord = containerd::services::introspection::v1::Plugin;

class ServerClient {
 public:
  explicit ServerClient(Connection connection) : connection_(std::move(connection)) {}

  absl::StatusOr<containerd::services::version::v1::VersionResponse> Version() const;
  absl::StatusOr<containerd::services::introspection::v1::ServerResponse> Server() const;
  absl::StatusOr<std::vector<PluginRecord>> Plugins(const std::vector<std::string>& filters) const;

  // Gives each event to `sink` as it comes, until the server ends the stream or `sink` fails.
  // `cursor` ("now", "oldest", or one that `sink` was given) is where it begins; the sink gets each
  // event's own.
  absl::Status Subscribe(const std::vector<std::string>& filters, const std::string& cursor,
                         const std::function<absl::Status(const EventEnvelope&,
                                                          const std::string& cursor)>& sink) const;

 private:
  Connection connection_;
};

}  // namespace berth::client

#endif  // BERTH_CLIENT_SDK_SERVER_CLIENT_H_
