#include "server/events/topic.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status/status_macros.h"
#include "server/metadata/identifiers.h"

namespace berth {

absl::Status ValidateTopic(absl::string_view topic) {
  if (topic.empty() || topic[0] != '/') {
    return absl::InvalidArgumentError(
        absl::StrCat("topic \"", topic, "\" must begin with \"/\", as in \"/tasks/exit\""));
  }
  if (topic.size() == 1) {
    return absl::InvalidArgumentError("topic \"/\" has no component after its \"/\"");
  }
  for (absl::string_view component : absl::StrSplit(topic.substr(1), '/')) {
    BERTH_RETURN_IF_ERROR(metadata::ValidateIdentifier(component)) << "topic \"" << topic << "\"";
  }
  return absl::OkStatus();
}

absl::Status ValidateEnvelope(const containerd::services::events::v1::Envelope& envelope) {
  BERTH_RETURN_IF_ERROR(metadata::ValidateIdentifier(envelope.namespace_()))
      << "namespace of the envelope";
  BERTH_RETURN_IF_ERROR(ValidateTopic(envelope.topic())) << "topic of the envelope";
  const auto& timestamp = envelope.timestamp();
  if (!envelope.has_timestamp() || (timestamp.seconds() == 0 && timestamp.nanos() == 0)) {
    return absl::InvalidArgumentError("a forwarded envelope must carry its event's timestamp");
  }
  return absl::OkStatus();
}

}  // namespace berth
