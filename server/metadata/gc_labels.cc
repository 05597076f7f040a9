#include "server/metadata/gc_labels.h"

#include "absl/strings/match.h"
#include "base/status/status_macros.h"

namespace berth::metadata {

absl::Status SetGcLabels(sqlite::Connection& connection, const ObjectId& object,
                         const Labels& labels, ObjectAge age) {
  if (age == ObjectAge::kMayExist) {
    BERTH_RETURN_IF_ERROR(RemoveGcLabels(connection, object));
  }
  for (const auto& [key, value] : labels) {
    if (!absl::StartsWith(key, kGcLabelPrefix)) continue;
    BERTH_RETURN_IF_ERROR(connection.Run(
        "INSERT INTO gc_labels (kind, ns, name, label, value) VALUES (?, ?, ?, ?, ?)",
        static_cast<int>(object.kind), object.ns, object.name, key, value));
  }
  return absl::OkStatus();
}

absl::Status RemoveGcLabels(sqlite::Connection& connection, const ObjectId& object) {
  return connection.Run("DELETE FROM gc_labels WHERE kind = ? AND ns = ? AND name = ?",
                        static_cast<int>(object.kind), object.ns, object.name);
}

}  // namespace berth::metadata
