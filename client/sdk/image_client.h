// The Images service, typed: names that point to manifests or indexes. Thread-safe.
#ifndef BERTH_CLIENT_SDK_IMAGE_CLIENT_H_
#define BERTH_CLIENT_SDK_IMAGE_CLIENT_H_

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "client/sdk/connection.h"
#include "proto/containerd/services/images/v1/images.pb.h"

namespace berth::client {

using ImageRecord = containerd::services::images::v1::Image;

// Whether garbage is collected before the answer, so that the disk is free when the call returns.
enum class Collect { kLater, kBeforeAnswer };

class ImageClient {
 public:
  explicit ImageClient(Connection connection) : connection_(std::move(connection)) {}

  absl::StatusOr<ImageRecord> Get(absl::string_view name) const;
  absl::StatusOr<std::vector<ImageRecord>> List(const std::vector<std::string>& filters) const;
  // Creates the record, or points an existing one to the new target.
  absl::Status Put(const ImageRecord& image) const;
  absl::Status SetLabels(absl::string_view name,
                         const std::map<std::string, std::string>& labels) const;
  absl::Status Delete(absl::string_view name, Collect collect) const;

 private:
  Connection connection_;
};

}  // namespace berth::client

#endif  // BERTH_CLIENT_SDK_IMAGE_CLIENT_H_
