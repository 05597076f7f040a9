// Looking after the server: the Care service, typed. Thread-safe.
#ifndef BERTH_CLIENT_SDK_CARE_CLIENT_H_
#define BERTH_CLIENT_SDK_CARE_CLIENT_H_

#include <functional>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "client/sdk/connection.h"
#include "proto/berth/care/v1/care.pb.h"

namespace berth::client {

class CareClient {
 public:
  explicit CareClient(Connection connection) : connection_(std::move(connection)) {}

  // Gives each object's report to `sink`. Blocks: as long as reading all that is stored takes.
  absl::Status Check(const care::v1::CheckRequest& request,
                     const std::function<void(const care::v1::CheckReport&)>& sink) const;
  absl::StatusOr<std::vector<care::v1::Operation>> ListOperations() const;
  // Errors: NOT_FOUND for a container that is not known, and whose task was not made lately.
  absl::StatusOr<care::v1::ExplainResponse> Explain(absl::string_view container) const;
  // Errors: FAILED_PRECONDITION when the program cannot take over, UNAVAILABLE to try again,
  // UNIMPLEMENTED for another's shim. Blocks: up to half a minute.
  absl::StatusOr<care::v1::UpgradeShimResponse> UpgradeShim(
      const care::v1::UpgradeShimRequest& request) const;

 private:
  Connection connection_;
};

}  // namespace berth::client

#endif  // BERTH_CLIENT_SDK_CARE_CLIENT_H_
