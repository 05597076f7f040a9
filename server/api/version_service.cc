#include "server/api/version_service.h"

#include "base/grpc/unary.h"

namespace berth {

using containerd::services::version::v1::VersionResponse;

grpc::ServerUnaryReactor* VersionService::Version(grpc::CallbackServerContext* context,
                                                  const google::protobuf::Empty* request,
                                                  VersionResponse* response) {
  return UnaryAsync(
      context, request, response,
      [this](const CallInfo&, const google::protobuf::Empty&, Done<VersionResponse> done) {
        VersionResponse answer;
        answer.set_version(version_);
        answer.set_revision(revision_);
        done(std::move(answer));
      });
}

}  // namespace berth
