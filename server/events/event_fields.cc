#include "server/events/event_fields.h"

#include <array>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/types/span.h"
#include "google/protobuf/descriptor.h"
#include "proto/containerd/events/container.pb.h"
#include "proto/containerd/events/content.pb.h"
#include "proto/containerd/events/image.pb.h"
#include "proto/containerd/events/namespace.pb.h"
#include "proto/containerd/events/sandbox.pb.h"
#include "proto/containerd/events/snapshot.pb.h"
#include "proto/containerd/events/task.pb.h"

namespace berth {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::DescriptorPool;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::MessageFactory;

// Static libraries leave out files that nobody names, and with them their entry in the pool of
// descriptors: naming one message of each file keeps every event known.
const std::array<const Descriptor*, 7>& KnownFiles() {
  static const auto* const files = new std::array<const Descriptor*, 7>{
      containerd::events::ContainerCreate::descriptor(),
      containerd::events::ContentDelete::descriptor(),
      containerd::services::images::v1::ImageCreate::descriptor(),
      containerd::events::NamespaceCreate::descriptor(),
      containerd::events::SandboxCreate::descriptor(),
      containerd::events::SnapshotPrepare::descriptor(),
      containerd::events::TaskCreate::descriptor(),
  };
  return *files;
}

std::optional<std::string> Scalar(const Message& message, const FieldDescriptor& field) {
  const auto* reflection = message.GetReflection();
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_STRING:
      return reflection->GetString(message, &field);
    case FieldDescriptor::CPPTYPE_UINT32:
      return absl::StrCat(reflection->GetUInt32(message, &field));
    case FieldDescriptor::CPPTYPE_UINT64:
      return absl::StrCat(reflection->GetUInt64(message, &field));
    case FieldDescriptor::CPPTYPE_INT32:
      return absl::StrCat(reflection->GetInt32(message, &field));
    case FieldDescriptor::CPPTYPE_INT64:
      return absl::StrCat(reflection->GetInt64(message, &field));
    case FieldDescriptor::CPPTYPE_BOOL:
      return reflection->GetBool(message, &field) ? "true" : "false";
    default:
      return std::nullopt;
  }
}

// The rest of a path into a map is one key: labels are full of dots ("labels.a.b").
std::optional<std::string> MapValue(const Message& message, const FieldDescriptor& map,
                                    absl::Span<const std::string> key_path) {
  const std::string key = absl::StrJoin(key_path, ".");
  const FieldDescriptor* key_field = map.message_type()->map_key();
  const FieldDescriptor* value_field = map.message_type()->map_value();
  if (key_field->cpp_type() != FieldDescriptor::CPPTYPE_STRING) return std::nullopt;
  const auto* reflection = message.GetReflection();
  for (int i = 0; i < reflection->FieldSize(message, &map); ++i) {
    const Message& entry = reflection->GetRepeatedMessage(message, &map, i);
    if (entry.GetReflection()->GetString(entry, key_field) == key) {
      return Scalar(entry, *value_field);
    }
  }
  return std::nullopt;
}

std::optional<std::string> FindIn(const Message& message, absl::Span<const std::string> path) {
  if (path.empty()) return std::nullopt;
  const FieldDescriptor* field = message.GetDescriptor()->FindFieldByName(path[0]);
  if (field == nullptr) return std::nullopt;
  if (field->is_map()) return MapValue(message, *field, path.subspan(1));
  if (field->is_repeated()) return std::nullopt;
  if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
    if (!message.GetReflection()->HasField(message, field)) return std::nullopt;
    return FindIn(message.GetReflection()->GetMessage(message, field), path.subspan(1));
  }
  if (path.size() > 1) return std::nullopt;
  return Scalar(message, *field);
}

}  // namespace

const Message* EventFields::Payload() {
  if (std::exchange(decoded_, true)) return payload_.get();
  const std::string& url = envelope_.event().type_url();
  const std::string name = url.substr(url.rfind('/') + 1);  // npos + 1 is 0
  (void)KnownFiles();
  const Descriptor* type = DescriptorPool::generated_pool()->FindMessageTypeByName(name);
  if (type == nullptr) return nullptr;
  const Message* prototype = MessageFactory::generated_factory()->GetPrototype(type);
  if (prototype == nullptr) return nullptr;
  std::unique_ptr<Message> payload(prototype->New());
  if (!payload->ParseFromString(envelope_.event().value())) return nullptr;
  payload_ = std::move(payload);
  return payload_.get();
}

std::optional<std::string> EventFields::Find(const std::vector<std::string>& path) {
  if (path.empty()) return std::nullopt;
  if (path[0] == "namespace" && path.size() == 1) return envelope_.namespace_();
  if (path[0] == "topic" && path.size() == 1) return envelope_.topic();
  if (path[0] != "event") return std::nullopt;
  const Message* payload = Payload();
  if (payload == nullptr) return std::nullopt;
  return FindIn(*payload, absl::MakeConstSpan(path).subspan(1));
}

std::string EventTypeUrl(const Message& event) { return event.GetDescriptor()->full_name(); }

}  // namespace berth
