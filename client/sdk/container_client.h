// The Containers service, typed: records of containers. Thread-safe.
#ifndef BERTH_CLIENT_SDK_CONTAINER_CLIENT_H_
#define BERTH_CLIENT_SDK_CONTAINER_CLIENT_H_

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "client/sdk/connection.h"
#include "proto/containerd/services/containers/v1/containers.pb.h"

namespace berth::client {

using ContainerRecord = containerd::services::containers::v1::Container;

class ContainerClient {
 public:
  explicit ContainerClient(Connection connection) : connection_(std::move(connection)) {}

  absl::StatusOr<ContainerRecord> Get(absl::string_view id) const;
  absl::StatusOr<std::vector<ContainerRecord>> List(const std::vector<std::string>& filters) const;
  absl::StatusOr<ContainerRecord> Create(const ContainerRecord& record) const;
  // Sets the given labels and leaves the others; an empty value removes one.
  absl::Status SetLabels(absl::string_view id,
                         const std::map<std::string, std::string>& labels) const;
  absl::Status Delete(absl::string_view id) const;

 private:
  Connection connection_;
};

}  // namespace berth::client

#endif  // BERTH_CLIENT_SDK_CONTAINER_CLIENT_H_
