#include "server/metadata/lease_table.h"

#include "absl/strings/str_cat.h"
#include "base/status/status_macros.h"

namespace berth::metadata {

std::string SnapshotResource(absl::string_view snapshotter) {
  return absl::StrCat("snapshots/", snapshotter);
}

absl::Status AddToLease(sqlite::Connection& connection, const Caller& caller,
                        absl::string_view type, absl::string_view id) {
  if (caller.lease.empty()) return absl::OkStatus();
  {
    BERTH_ASSIGN_OR_RETURN(sqlite::Statement lease,
                           connection.Prepare("SELECT 1 FROM leases WHERE ns = ? AND id = ?"));
    BERTH_ASSIGN_OR_RETURN(const bool found, lease.Bind(caller.ns, caller.lease).Step());
    if (!found) {
      return absl::NotFoundError(absl::StrCat("lease \"", caller.lease, "\": not found"));
    }
  }
  return connection.Run(
      "INSERT INTO lease_resources (ns, lease, type, id) VALUES (?, ?, ?, ?) ON CONFLICT DO "
      "NOTHING",
      caller.ns, caller.lease, type, id);
}

absl::Status RemoveFromLease(sqlite::Connection& connection, const Caller& caller,
                             absl::string_view type, absl::string_view id) {
  if (caller.lease.empty()) return absl::OkStatus();
  return connection.Run(
      "DELETE FROM lease_resources WHERE ns = ? AND lease = ? AND type = ? AND id = ?", caller.ns,
      caller.lease, type, id);
}

}  // namespace berth::metadata
