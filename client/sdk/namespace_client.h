// The Namespaces service, typed. Thread-safe.
#ifndef BERTH_CLIENT_SDK_NAMESPACE_CLIENT_H_
#define BERTH_CLIENT_SDK_NAMESPACE_CLIENT_H_

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "client/sdk/connection.h"
#include "proto/containerd/services/namespaces/v1/namespaces.pb.h"

namespace berth::client {

using NamespaceRecord = containerd::services::namespaces::v1::Namespace;

class NamespaceClient {
 public:
  explicit NamespaceClient(Connection connection) : connection_(std::move(connection)) {}

  absl::StatusOr<NamespaceRecord> Get(absl::string_view name) const;
  absl::StatusOr<std::vector<NamespaceRecord>> List() const;
  absl::Status Create(absl::string_view name,
                      const std::map<std::string, std::string>& labels) const;
  absl::Status SetLabels(absl::string_view name,
                         const std::map<std::string, std::string>& labels) const;
  absl::Status Delete(absl::string_view name) const;

 private:
  Connection connection_;
};

}  // namespace berth::client

#endif  // BERTH_CLIENT_SDK_NAMESPACE_CLIENT_H_
