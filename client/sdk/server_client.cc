#include "client/sdk/server_client.h"

#include <google/protobuf/unknown_field_set.h>

#include "base/status/status_macros.h"
#include "client/sdk/stubs.h"
#include "client/sdk/unary.h"

namespace berth::client {

namespace events = containerd::services::events::v1;
namespace introspection = containerd::services::introspection::v1;
namespace version = containerd::services::version::v1;

namespace {

// ResumableEnvelope.cursor (proto/berth/events/v1): for containerd's message an unknown field.
constexpr int kCursorField = 1000;

std::string CursorOf(const events::Envelope& envelope) {
  const auto& fields = envelope.GetReflection()->GetUnknownFields(envelope);
  for (int i = 0; i < fields.field_count(); ++i) {
    const google::protobuf::UnknownField& field = fields.field(i);
    if (field.number() == kCursorField &&
        field.type() == google::protobuf::UnknownField::TYPE_LENGTH_DELIMITED) {
      return field.length_delimited();
    }
  }
  return "";
}

}  // namespace

absl::StatusOr<version::VersionResponse> ServerClient::Version() const {
  return Unary(connection_, *connection_.stubs().version, &version::Version::Stub::Version,
               google::protobuf::Empty());
}

absl::StatusOr<introspection::ServerResponse> ServerClient::Server() const {
  return Unary(connection_, *connection_.stubs().introspection,
               &introspection::Introspection::Stub::Server, google::protobuf::Empty());
}

absl::StatusOr<std::vector<PluginRecord>> ServerClient::Plugins(
    const std::vector<std::string>& filters) const {
  introspection::PluginsRequest request;
  for (const std::string& filter : filters) request.add_filters(filter);
  BERTH_ASSIGN_OR_RETURN(const introspection::PluginsResponse response,
                         Unary(connection_, *connection_.stubs().introspection,
                               &introspection::Introspection::Stub::Plugins, request));
  return std::vector<PluginRecord>(response.plugins().begin(), response.plugins().end());
}

absl::Status ServerClient::Subscribe(
    const std::vector<std::string>& filters, const std::string& cursor,
    const std::function<absl::Status(const EventEnvelope&, const std::string& cursor)>& sink)
    const {
  events::SubscribeRequest request;
  for (const std::string& filter : filters) request.add_filters(filter);
  grpc::ClientContext context;
  connection_.Prepare(context, absl::InfiniteDuration());
  context.AddMetadata("berth-event-cursor", cursor);
  auto reader = connection_.stubs().events->Subscribe(&context, request);
  events::Envelope envelope;
  absl::Status sunk;
  while (sunk.ok() && reader->Read(&envelope)) sunk = sink(envelope, CursorOf(envelope));
  if (!sunk.ok()) {
    context.TryCancel();
    reader->Finish();
    return sunk;
  }
  return connection_.ToStatus(reader->Finish());
}

}  // namespace berth::client
