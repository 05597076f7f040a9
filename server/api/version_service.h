// containerd.services.version.v1.Version: which server answers. Needs no namespace. Immutable,
// thread-safe; owned by server/main.
#ifndef BERTH_SERVER_API_VERSION_SERVICE_H_
#define BERTH_SERVER_API_VERSION_SERVICE_H_

#include <string>

#include "absl/strings/string_view.h"
#include "proto/containerd/services/version/v1/version.grpc.pb.h"

namespace berth {

class VersionService final : public containerd::services::version::v1::Version::CallbackService {
 public:
  VersionService(absl::string_view version, absl::string_view revision)
      : version_(version), revision_(revision) {}

  grpc::ServerUnaryReactor* Version(
      grpc::CallbackServerContext* context, const google::protobuf::Empty* request,
      containerd::services::version::v1::VersionResponse* response) override;

 private:
  const std::string version_;
  const std::string revision_;
};

}  // namespace berth

#endif  // BERTH_SERVER_API_VERSION_SERVICE_H_
