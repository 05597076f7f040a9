#include "server/metadata/gc_expiry.h"

#include "absl/strings/str_cat.h"
#include "base/status/status_macros.h"

namespace berth::metadata {

absl::Time ParseExpiry(absl::string_view value) {
  absl::Time time;
  std::string error;
  if (!absl::ParseTime(absl::RFC3339_full, value, &time, &error)) return absl::InfiniteFuture();
  return time;
}

absl::Status ForEachExpiring(sqlite::Connection& connection, ObjectKind kind,
                             absl::string_view table, absl::string_view name_column, absl::Time now,
                             absl::FunctionRef<void(ObjectId, Rooted)> visit) {
  BERTH_ASSIGN_OR_RETURN(
      sqlite::Statement row,
      connection.Prepare(absl::StrCat(
          "SELECT o.ns, o.", name_column, ", l.value FROM ", table,
          " o LEFT JOIN gc_labels l ON l.kind = ", static_cast<int>(kind),
          " AND l.ns = o.ns AND l.name = o.", name_column, " AND l.label = '", kExpireLabel, "'")));
  while (true) {
    BERTH_ASSIGN_OR_RETURN(const bool more, row.Step());
    if (!more) return absl::OkStatus();
    const bool expired = !row.ColumnIsNull(2) && ParseExpiry(row.ColumnText(2)) < now;
    visit({kind, std::string(row.ColumnText(0)), std::string(row.ColumnText(1))},
          expired ? Rooted::kNo : Rooted::kYes);
  }
}

}  // namespace berth::metadata
