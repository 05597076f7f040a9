// berth.images.v1.Registries: whether a registry takes credentials, and small questions to it.
// Thread-safe; owned by server/main.
#ifndef BERTH_SERVER_API_REGISTRIES_SERVICE_H_
#define BERTH_SERVER_API_REGISTRIES_SERVICE_H_

#include "base/grpc/executor.h"
#include "proto/berth/images/v1/images.grpc.pb.h"
#include "server/worker/client/worker_client.h"

namespace berth {

class RegistriesService final : public berth::images::v1::Registries::CallbackService {
 public:
  using Request = berth::images::v1::CheckLoginRequest;
  using Response = berth::images::v1::CheckLoginResponse;
  using ListReferrersRequest = berth::images::v1::ListReferrersRequest;
  using ListReferrersResponse = berth::images::v1::ListReferrersResponse;
  using ListTagsRequest = berth::images::v1::ListTagsRequest;
  using ListTagsResponse = berth::images::v1::ListTagsResponse;

  RegistriesService(worker::WorkerClient& worker, Executor& executor)
      : worker_(worker), executor_(executor) {}

  grpc::ServerUnaryReactor* CheckLogin(grpc::CallbackServerContext* context, const Request* request,
                                       Response* response) override;
  grpc::ServerUnaryReactor* ListReferrers(grpc::CallbackServerContext* context,
                                          const ListReferrersRequest* request,
                                          ListReferrersResponse* response) override;
  grpc::ServerUnaryReactor* ListTags(grpc::CallbackServerContext* context,
                                     const ListTagsRequest* request,
                                     ListTagsResponse* response) override;

 private:
  worker::WorkerClient& worker_;
  Executor& executor_;
};

}  // namespace berth

#endif  // BERTH_SERVER_API_REGISTRIES_SERVICE_H_
