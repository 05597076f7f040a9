#include "client/commands/payload_document.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>
#include <google/protobuf/util/json_util.h>

#include <array>
#include <memory>
#include <string>

#include "absl/strings/escaping.h"
#include "absl/strings/string_view.h"
#include "client/sdk/timestamps.h"
#include "proto/berth/events/v1/events.pb.h"
#include "proto/containerd/cgroups/v1/metrics.pb.h"
#include "proto/containerd/cgroups/v2/metrics.pb.h"
#include "proto/containerd/events/container.pb.h"
#include "proto/containerd/events/content.pb.h"
#include "proto/containerd/events/image.pb.h"
#include "proto/containerd/events/namespace.pb.h"
#include "proto/containerd/events/sandbox.pb.h"
#include "proto/containerd/events/snapshot.pb.h"
#include "proto/containerd/events/task.pb.h"

namespace berth::client {
namespace {

// Naming a message of each file keeps the linker from dropping the file, and its descriptors.
const google::protobuf::Descriptor* FindType(absl::string_view name) {
  static const auto& files = *new std::array<const google::protobuf::Descriptor*, 10>{
      containerd::events::ContainerCreate::descriptor(),
      containerd::events::ContentDelete::descriptor(),
      containerd::services::images::v1::ImageCreate::descriptor(),
      containerd::events::NamespaceCreate::descriptor(),
      containerd::events::SandboxCreate::descriptor(),
      containerd::events::SnapshotPrepare::descriptor(),
      containerd::events::TaskCreate::descriptor(),
      io::containerd::cgroups::v1::Metrics::descriptor(),
      io::containerd::cgroups::v2::Metrics::descriptor(),
      berth::events::v1::Gap::descriptor(),
  };
  for (const google::protobuf::Descriptor* known : files) {
    const google::protobuf::Descriptor* type =
        known->file()->pool()->FindMessageTypeByName(std::string(name));
    if (type != nullptr) return type;
  }
  return nullptr;
}

}  // namespace

Json PayloadDocument(const google::protobuf::Any& any) {
  const absl::string_view url = any.type_url();
  // containerd leaves the host out; others write "type.googleapis.com/NAME".
  const size_t slash = url.rfind('/');
  const google::protobuf::Descriptor* type =
      FindType(slash == absl::string_view::npos ? url : url.substr(slash + 1));
  if (type != nullptr) {
    const std::unique_ptr<google::protobuf::Message> message(
        google::protobuf::MessageFactory::generated_factory()->GetPrototype(type)->New());
    google::protobuf::util::JsonPrintOptions options;
    options.preserve_proto_field_names = true;
    std::string text;
    if (message->ParseFromString(any.value()) &&
        google::protobuf::util::MessageToJsonString(*message, &text, options).ok()) {
      absl::StatusOr<Json> json = ParseJson(text);
      if (json.ok()) return *json;
    }
  }
  absl::StatusOr<Json> json = ParseJson(any.value());
  if (json.ok()) return *json;
  return {{"type_url", any.type_url()}, {"value", absl::Base64Escape(any.value())}};
}

Json MetricDocument(const containerd::types::Metric& metric) {
  return {{"id", metric.id()},
          {"timestamp", FormatMoment(FromProto(metric.timestamp()))},
          {"type", metric.data().type_url()},
          {"data", PayloadDocument(metric.data())}};
}

}  // namespace berth::client
