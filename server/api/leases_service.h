// containerd.services.leases.v1.Leases, with garbage collection before the answer where Delete asks
// for it. Leases have no events. Thread-safe; owned by server/main.
#ifndef BERTH_SERVER_API_LEASES_SERVICE_H_
#define BERTH_SERVER_API_LEASES_SERVICE_H_

#include "base/grpc/call_info.h"
#include "base/grpc/executor.h"
#include "proto/containerd/services/leases/v1/leases.grpc.pb.h"
#include "server/gc/scheduler.h"
#include "server/metadata/caller.h"
#include "server/metadata/lease_store.h"

namespace berth {

class LeasesService final : public containerd::services::leases::v1::Leases::CallbackService {
 public:
  using CreateRequest = containerd::services::leases::v1::CreateRequest;
  using CreateResponse = containerd::services::leases::v1::CreateResponse;
  using DeleteRequest = containerd::services::leases::v1::DeleteRequest;
  using ListRequest = containerd::services::leases::v1::ListRequest;
  using ListResponse = containerd::services::leases::v1::ListResponse;
  using AddResourceRequest = containerd::services::leases::v1::AddResourceRequest;
  using DeleteResourceRequest = containerd::services::leases::v1::DeleteResourceRequest;
  using ListResourcesRequest = containerd::services::leases::v1::ListResourcesRequest;
  using ListResourcesResponse = containerd::services::leases::v1::ListResourcesResponse;
  using Empty = google::protobuf::Empty;

  LeasesService(metadata::LeaseStore& store, gc::Scheduler& collection, Executor& executor)
      : store_(store), collection_(collection), executor_(executor) {}

  grpc::ServerUnaryReactor* Create(grpc::CallbackServerContext* context,
                                   const CreateRequest* request, CreateResponse* response) override;
  grpc::ServerUnaryReactor* Delete(grpc::CallbackServerContext* context,
                                   const DeleteRequest* request, Empty* response) override;
  grpc::ServerUnaryReactor* List(grpc::CallbackServerContext* context, const ListRequest* request,
                                 ListResponse* response) override;
  grpc::ServerUnaryReactor* AddResource(grpc::CallbackServerContext* context,
                                        const AddResourceRequest* request,
                                        Empty* response) override;
  grpc::ServerUnaryReactor* DeleteResource(grpc::CallbackServerContext* context,
                                           const DeleteResourceRequest* request,
                                           Empty* response) override;
  grpc::ServerUnaryReactor* ListResources(grpc::CallbackServerContext* context,
                                          const ListResourcesRequest* request,
                                          ListResourcesResponse* response) override;

 private:
  using Caller = metadata::Caller;

  metadata::LeaseStore& store_;
  gc::Scheduler& collection_;
  Executor& executor_;
};

}  // namespace berth

#endif  // BERTH_SERVER_API_LEASES_SERVICE_H_
