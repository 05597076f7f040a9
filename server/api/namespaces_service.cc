#include "server/api/namespaces_service.h"

#include <string>
#include <utility>
#include <vector>

#include "base/grpc/unary.h"
#include "base/status/status_macros.h"
#include "proto/containerd/events/namespace.pb.h"

namespace berth {
namespace {

using Namespace = metadata::NamespaceStore::Namespace;

// Events carry the caller's namespace; a caller without one gets the namespace it is about.
const std::string& EventNamespace(const CallInfo& call, const std::string& name) {
  return call.ns.empty() ? name : call.ns;
}

}  // namespace

grpc::ServerUnaryReactor* NamespacesService::Get(grpc::CallbackServerContext* context,
                                                 const GetRequest* request, GetResponse* response) {
  return Unary(context, executor_, request, response,
               [this](const CallInfo&, const GetRequest& request) { return DoGet(request); });
}
grpc::ServerUnaryReactor* NamespacesService::List(grpc::CallbackServerContext* context,
                                                  const ListRequest* request,
                                                  ListResponse* response) {
  return Unary(context, executor_, request, response,
               [this](const CallInfo&, const ListRequest& request) { return DoList(request); });
}
grpc::ServerUnaryReactor* NamespacesService::Create(grpc::CallbackServerContext* context,
                                                    const CreateRequest* request,
                                                    CreateResponse* response) {
  return Unary(context, executor_, request, response,
               [this](const CallInfo& call, const CreateRequest& request) {
                 return DoCreate(call, request);
               });
}
grpc::ServerUnaryReactor* NamespacesService::Update(grpc::CallbackServerContext* context,
                                                    const UpdateRequest* request,
                                                    UpdateResponse* response) {
  return Unary(context, executor_, request, response,
               [this](const CallInfo& call, const UpdateRequest& request) {
                 return DoUpdate(call, request);
               });
}
grpc::ServerUnaryReactor* NamespacesService::Delete(grpc::CallbackServerContext* context,
                                                    const DeleteRequest* request, Empty* response) {
  return Unary(context, executor_, request, response,
               [this](const CallInfo&, const DeleteRequest& request) { return DoDelete(request); });
}

absl::StatusOr<NamespacesService::GetResponse> NamespacesService::DoGet(const GetRequest& request) {
  GetResponse response;
  BERTH_ASSIGN_OR_RETURN(*response.mutable_namespace_(), store_.Get(request.name()));
  return response;
}

absl::StatusOr<NamespacesService::ListResponse> NamespacesService::DoList(
    const ListRequest& request) {
  BERTH_ASSIGN_OR_RETURN(std::vector<Namespace> all, store_.List(request.filter()));
  ListResponse response;
  for (Namespace& ns : all) *response.add_namespaces() = std::move(ns);
  return response;
}

absl::StatusOr<NamespacesService::CreateResponse> NamespacesService::DoCreate(
    const CallInfo& call, const CreateRequest& request) {
  CreateResponse response;
  BERTH_ASSIGN_OR_RETURN(*response.mutable_namespace_(), store_.Create(request.namespace_()));
  containerd::events::NamespaceCreate event;
  event.set_name(response.namespace_().name());
  *event.mutable_labels() = response.namespace_().labels();
  events_.Publish(EventNamespace(call, event.name()), "/namespaces/create", event);
  return response;
}

absl::StatusOr<NamespacesService::UpdateResponse> NamespacesService::DoUpdate(
    const CallInfo& call, const UpdateRequest& request) {
  const std::vector<std::string> mask(request.update_mask().paths().begin(),
                                      request.update_mask().paths().end());
  UpdateResponse response;
  BERTH_ASSIGN_OR_RETURN(*response.mutable_namespace_(), store_.Update(request.namespace_(), mask));
  containerd::events::NamespaceUpdate event;
  event.set_name(response.namespace_().name());
  *event.mutable_labels() = response.namespace_().labels();
  events_.Publish(EventNamespace(call, event.name()), "/namespaces/update", event);
  return response;
}

absl::Status NamespacesService::DoDelete(const DeleteRequest& request) {
  BERTH_RETURN_IF_ERROR(store_.Delete(request.name()));
  containerd::events::NamespaceDelete event;
  event.set_name(request.name());
  events_.Publish(request.name(), "/namespaces/delete", event);
  return absl::OkStatus();
}

}  // namespace berth
