// containerd.services.namespaces.v1.Namespaces. Needs no namespace header. Thread-safe; owned by
// server/main.
#ifndef BERTH_SERVER_API_NAMESPACES_SERVICE_H_
#define BERTH_SERVER_API_NAMESPACES_SERVICE_H_

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/grpc/call_info.h"
#include "base/grpc/executor.h"
#include "proto/containerd/services/namespaces/v1/namespaces.grpc.pb.h"
#include "server/events/event_sink.h"
#include "server/metadata/namespace_store.h"

namespace berth {

class NamespacesService final
    : public containerd::services::namespaces::v1::Namespaces::CallbackService {
 public:
  using GetRequest = containerd::services::namespaces::v1::GetNamespaceRequest;
  using GetResponse = containerd::services::namespaces::v1::GetNamespaceResponse;
  using ListRequest = containerd::services::namespaces::v1::ListNamespacesRequest;
  using ListResponse = containerd::services::namespaces::v1::ListNamespacesResponse;
  using CreateRequest = containerd::services::namespaces::v1::CreateNamespaceRequest;
  using CreateResponse = containerd::services::namespaces::v1::CreateNamespaceResponse;
  using UpdateRequest = containerd::services::namespaces::v1::UpdateNamespaceRequest;
  using UpdateResponse = containerd::services::namespaces::v1::UpdateNamespaceResponse;
  using DeleteRequest = containerd::services::namespaces::v1::DeleteNamespaceRequest;
  using Empty = google::protobuf::Empty;

  NamespacesService(metadata::NamespaceStore& store, EventSink& events, Executor& executor)
      : store_(store), events_(events), executor_(executor) {}

  grpc::ServerUnaryReactor* Get(grpc::CallbackServerContext* context, const GetRequest* request,
                                GetResponse* response) override;
  grpc::ServerUnaryReactor* List(grpc::CallbackServerContext* context, const ListRequest* request,
                                 ListResponse* response) override;
  grpc::ServerUnaryReactor* Create(grpc::CallbackServerContext* context,
                                   const CreateRequest* request, CreateResponse* response) override;
  grpc::ServerUnaryReactor* Update(grpc::CallbackServerContext* context,
                                   const UpdateRequest* request, UpdateResponse* response) override;
  grpc::ServerUnaryReactor* Delete(grpc::CallbackServerContext* context,
                                   const DeleteRequest* request, Empty* response) override;

 private:
  absl::StatusOr<GetResponse> DoGet(const GetRequest& request);
  absl::StatusOr<ListResponse> DoList(const ListRequest& request);
  absl::StatusOr<CreateResponse> DoCreate(const CallInfo& call, const CreateRequest& request);
  absl::StatusOr<UpdateResponse> DoUpdate(const CallInfo& call, const UpdateRequest& request);
  absl::Status DoDelete(const DeleteRequest& request);

  metadata::NamespaceStore& store_;
  EventSink& events_;
  Executor& executor_;
};

}  // namespace berth

#endif  // BERTH_SERVER_API_NAMESPACES_SERVICE_H_
