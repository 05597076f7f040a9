// containerd.services.introspection.v1.Introspection: what the server is made of, and who it is.
//
// The list of plugins is fixed when the daemon starts: Berth loads none, and names its parts as
// containerd does, because clients look for them there. Needs no namespace. Immutable, thread-safe;
// owned by server/main.
#ifndef BERTH_SERVER_API_INTROSPECTION_SERVICE_H_
#define BERTH_SERVER_API_INTROSPECTION_SERVICE_H_

#include <vector>

#include "absl/status/statusor.h"
#include "base/grpc/call_info.h"
#include "base/grpc/executor.h"
#include "proto/containerd/services/introspection/v1/introspection.grpc.pb.h"
#include "server/api/server_identity.h"

namespace berth {

class IntrospectionService final
    : public containerd::services::introspection::v1::Introspection::CallbackService {
 public:
  using Plugin = containerd::services::introspection::v1::Plugin;
  using PluginsRequest = containerd::services::introspection::v1::PluginsRequest;
  using PluginsResponse = containerd::services::introspection::v1::PluginsResponse;
  using PluginInfoRequest = containerd::services::introspection::v1::PluginInfoRequest;
  using PluginInfoResponse = containerd::services::introspection::v1::PluginInfoResponse;
  using ServerResponse = containerd::services::introspection::v1::ServerResponse;

  IntrospectionService(std::vector<Plugin> plugins, ServerIdentity identity, Executor& executor);

  grpc::ServerUnaryReactor* Plugins(grpc::CallbackServerContext* context,
                                    const PluginsRequest* request,
                                    PluginsResponse* response) override;
  grpc::ServerUnaryReactor* Server(grpc::CallbackServerContext* context,
                                   const google::protobuf::Empty* request,
                                   ServerResponse* response) override;
  grpc::ServerUnaryReactor* PluginInfo(grpc::CallbackServerContext* context,
                                       const PluginInfoRequest* request,
                                       PluginInfoResponse* response) override;

 private:
  absl::StatusOr<PluginsResponse> ListPlugins(const PluginsRequest& request) const;
  absl::StatusOr<PluginInfoResponse> FindPlugin(const PluginInfoRequest& request) const;

  const std::vector<Plugin> plugins_;
  const ServerIdentity identity_;
  Executor& executor_;
};

}  // namespace berth

#endif  // BERTH_SERVER_API_INTROSPECTION_SERVICE_H_
