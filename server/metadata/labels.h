// Labels: what may be one, and how they are written and changed.
//
// Rules: a key and its value together have at most 4096 bytes; an empty value means that the label
// is absent. Thread-safe functions.
#ifndef BERTH_SERVER_METADATA_LABELS_H_
#define BERTH_SERVER_METADATA_LABELS_H_

#include <google/protobuf/map.h>

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace berth::metadata {

using Labels = google::protobuf::Map<std::string, std::string>;

// Errors: INVALID_ARGUMENT naming the key.
absl::Status ValidateLabels(const Labels& labels);

// Drops keys with an empty value.
void DropEmptyLabels(Labels& labels);

// The field mask path `labels.<key>`: takes `key` from `source`; absent there means removal.
void ApplyLabelPath(const Labels& source, absl::string_view key, Labels& target);

// The filter path labels.<key>: `key_path` is what follows "labels", joined by dots it is the key.
std::optional<std::string> FindLabel(const Labels& labels, absl::Span<const std::string> key_path);

// One text for a whole map, in key order, and back: for a column of its own.
std::string EncodeLabels(const Labels& labels);
absl::StatusOr<Labels> DecodeLabels(absl::string_view text);

}  // namespace berth::metadata

#endif  // BERTH_SERVER_METADATA_LABELS_H_
