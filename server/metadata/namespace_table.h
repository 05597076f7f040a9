// Rows of namespaces: every other table refers to them. Thread-compatible function on a write
// connection.
#ifndef BERTH_SERVER_METADATA_NAMESPACE_TABLE_H_
#define BERTH_SERVER_METADATA_NAMESPACE_TABLE_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "base/sqlite/connection.h"

namespace berth::metadata {

// A namespace appears by itself on the first write into it: call this before inserting a row.
// Errors: INVALID_ARGUMENT for a malformed name.
absl::Status EnsureNamespace(sqlite::Connection& connection, absl::string_view ns);

}  // namespace berth::metadata

#endif  // BERTH_SERVER_METADATA_NAMESPACE_TABLE_H_
