#include "server/metadata/namespace_table.h"

#include "base/status/status_macros.h"
#include "server/metadata/identifiers.h"

namespace berth::metadata {

absl::Status EnsureNamespace(sqlite::Connection& connection, absl::string_view ns) {
  {
    BERTH_ASSIGN_OR_RETURN(sqlite::Statement found,
                           connection.Prepare("SELECT 1 FROM namespaces WHERE name = ?"));
    BERTH_ASSIGN_OR_RETURN(const bool exists, found.Bind(ns).Step());
    if (exists) return absl::OkStatus();
  }
  BERTH_RETURN_IF_ERROR(ValidateIdentifier(ns)) << "namespace";
  return connection.Run("INSERT INTO namespaces (name, labels) VALUES (?, '')", ns);
}

}  // namespace berth::metadata
