// The records of namespaces.
//
// Invariant: every object's row refers to a row here, so a namespace cannot vanish under its
// objects. Thread-safe; owned by server/main.
#ifndef BERTH_SERVER_METADATA_NAMESPACE_STORE_H_
#define BERTH_SERVER_METADATA_NAMESPACE_STORE_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "base/sqlite/database.h"
#include "proto/containerd/services/namespaces/v1/namespaces.pb.h"

namespace berth::metadata {

class NamespaceStore {
 public:
  using Namespace = containerd::services::namespaces::v1::Namespace;

  explicit NamespaceStore(sqlite::Database& database) : database_(database) {}

  // A name that was never seen has no labels and is no error: clients ask before the first use.
  absl::StatusOr<Namespace> Get(absl::string_view name);
  // In order of name. `filter`: fields name and labels.<key>. Errors: INVALID_ARGUMENT.
  absl::StatusOr<std::vector<Namespace>> List(absl::string_view filter);
  // Durable. Errors: ALREADY_EXISTS; INVALID_ARGUMENT for the name or the labels.
  absl::StatusOr<Namespace> Create(Namespace ns);
  // Replaces the labels, or with a mask the labels it names (paths labels.<key>). Makes the
  // namespace if it is missing. Durable. Errors: INVALID_ARGUMENT.
  absl::StatusOr<Namespace> Update(const Namespace& ns, absl::Span<const std::string> mask);
  // Leases go with it. Durable. Errors: NOT_FOUND; FAILED_PRECONDITION naming what is still there.
  absl::Status Delete(absl::string_view name);

 private:
  sqlite::Database& database_;
};

}  // namespace berth::metadata

#endif  // BERTH_SERVER_METADATA_NAMESPACE_STORE_H_
