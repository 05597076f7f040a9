#include "server/api/leases_service.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/grpc/unary.h"
#include "base/status/status_macros.h"
#include "server/api/caller_of.h"

namespace berth {

using Lease = metadata::LeaseStore::Lease;
using Resource = metadata::LeaseStore::Resource;

grpc::ServerUnaryReactor* LeasesService::Create(grpc::CallbackServerContext* context,
                                                const CreateRequest* request,
                                                CreateResponse* response) {
  return Unary(context, executor_, request, response,
               WithCaller([this](const CallInfo&, const Caller& caller,
                                 const CreateRequest& request) -> absl::StatusOr<CreateResponse> {
                 CreateResponse response;
                 BERTH_ASSIGN_OR_RETURN(*response.mutable_lease(),
                                        store_.Create(caller, request.id(), request.labels()));
                 return response;
               }));
}

grpc::ServerUnaryReactor* LeasesService::Delete(grpc::CallbackServerContext* context,
                                                const DeleteRequest* request, Empty* response) {
  return Unary(context, executor_, request, response,
               WithCaller([this](const CallInfo& call, const Caller& caller,
                                 const DeleteRequest& request) -> absl::Status {
                 BERTH_RETURN_IF_ERROR(store_.Delete(caller, request.id()));
                 if (!request.sync()) return absl::OkStatus();
                 return collection_.CollectNow(call.deadline);
               }));
}

grpc::ServerUnaryReactor* LeasesService::List(grpc::CallbackServerContext* context,
                                              const ListRequest* request, ListResponse* response) {
  return Unary(context, executor_, request, response,
               WithCaller([this](const CallInfo&, const Caller& caller,
                                 const ListRequest& request) -> absl::StatusOr<ListResponse> {
                 const std::vector<std::string> filters(request.filters().begin(),
                                                        request.filters().end());
                 BERTH_ASSIGN_OR_RETURN(std::vector<Lease> all, store_.List(caller, filters));
                 ListResponse response;
                 for (Lease& lease : all) *response.add_leases() = std::move(lease);
                 return response;
               }));
}

grpc::ServerUnaryReactor* LeasesService::AddResource(grpc::CallbackServerContext* context,
                                                     const AddResourceRequest* request,
                                                     Empty* response) {
  return Unary(
      context, executor_, request, response,
      WithCaller([this](const CallInfo&, const Caller& caller, const AddResourceRequest& request) {
        return store_.AddResource(caller, request.id(), request.resource());
      }));
}

grpc::ServerUnaryReactor* LeasesService::DeleteResource(grpc::CallbackServerContext* context,
                                                        const DeleteResourceRequest* request,
                                                        Empty* response) {
  return Unary(context, executor_, request, response,
               WithCaller([this](const CallInfo&, const Caller& caller,
                                 const DeleteResourceRequest& request) {
                 return store_.DeleteResource(caller, request.id(), request.resource());
               }));
}

grpc::ServerUnaryReactor* LeasesService::ListResources(grpc::CallbackServerContext* context,
                                                       const ListResourcesRequest* request,
                                                       ListResourcesResponse* response) {
  return Unary(
      context, executor_, request, response,
      WithCaller([this](const CallInfo&, const Caller& caller, const ListResourcesRequest& request)
                     -> absl::StatusOr<ListResourcesResponse> {
        BERTH_ASSIGN_OR_RETURN(std::vector<Resource> all,
                               store_.ListResources(caller, request.id()));
        ListResourcesResponse response;
        for (Resource& resource : all) *response.add_resources() = std::move(resource);
        return response;
      }));
}

}  // namespace berth
