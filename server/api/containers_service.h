// containerd.services.containers.v1.Containers: records of containers and their events.
// Thread-safe; owned by server/main.
#ifndef BERTH_SERVER_API_CONTAINERS_SERVICE_H_
#define BERTH_SERVER_API_CONTAINERS_SERVICE_H_

#include <functional>
#include <string>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/grpc/call_info.h"
#include "base/grpc/executor.h"
#include "base/grpc/page_stream.h"
#include "base/grpc/unary.h"
#include "proto/containerd/services/containers/v1/containers.grpc.pb.h"
#include "server/events/event_sink.h"
#include "server/metadata/caller.h"
#include "server/metadata/container_store.h"

namespace berth {

namespace containers_internal {
using Containers = containerd::services::containers::v1::Containers;
// All but ListStream, whose messages are sent as they are stored.
using CallbackMethods = Containers::WithCallbackMethod_Get<Containers::WithCallbackMethod_List<
    Containers::WithCallbackMethod_Create<Containers::WithCallbackMethod_Update<
        Containers::WithCallbackMethod_Delete<Containers::Service>>>>>;
using Base = Containers::WithRawMethod_ListStream<CallbackMethods>;
}  // namespace containers_internal

class ContainersService final : public containers_internal::Base {
 public:
  using GetRequest = containerd::services::containers::v1::GetContainerRequest;
  using GetResponse = containerd::services::containers::v1::GetContainerResponse;
  using ListRequest = containerd::services::containers::v1::ListContainersRequest;
  using ListResponse = containerd::services::containers::v1::ListContainersResponse;
  using ListMessage = containerd::services::containers::v1::ListContainerMessage;
  using CreateRequest = containerd::services::containers::v1::CreateContainerRequest;
  using CreateResponse = containerd::services::containers::v1::CreateContainerResponse;
  using UpdateRequest = containerd::services::containers::v1::UpdateContainerRequest;
  using UpdateResponse = containerd::services::containers::v1::UpdateContainerResponse;
  using DeleteRequest = containerd::services::containers::v1::DeleteContainerRequest;
  using Empty = google::protobuf::Empty;

  // Tells the shim of a running container what its labels say now; `done` once, from any thread.
  using ApplyLabels = std::function<void(
      const std::string& ns, const containerd::services::containers::v1::Container& container,
      absl::AnyInvocable<void(absl::Status)> done)>;

  // `apply_labels` may be empty: nobody is told.
  ContainersService(metadata::ContainerStore& store, EventSink& events, Executor& executor,
                    ApplyLabels apply_labels = nullptr)
      : store_(store),
        events_(events),
        executor_(executor),
        apply_labels_(std::move(apply_labels)) {}

  grpc::ServerUnaryReactor* Get(grpc::CallbackServerContext* context, const GetRequest* request,
                                GetResponse* response) override;
  grpc::ServerUnaryReactor* List(grpc::CallbackServerContext* context, const ListRequest* request,
                                 ListResponse* response) override;
  // Of messages ListMessage.
  PageStreams::Method ListStreamMethod();
  grpc::ServerUnaryReactor* Create(grpc::CallbackServerContext* context,
                                   const CreateRequest* request, CreateResponse* response) override;
  grpc::ServerUnaryReactor* Update(grpc::CallbackServerContext* context,
                                   const UpdateRequest* request, UpdateResponse* response) override;
  grpc::ServerUnaryReactor* Delete(grpc::CallbackServerContext* context,
                                   const DeleteRequest* request, Empty* response) override;

 private:
  using Caller = metadata::Caller;
  absl::StatusOr<PageSource> OpenListStream(const CallInfo& call, grpc::ByteBuffer& request);
  absl::StatusOr<ListResponse> DoList(const Caller& caller, const ListRequest& request);
  absl::StatusOr<CreateResponse> DoCreate(const Caller& caller, const CreateRequest& request);
  struct Updated {
    UpdateResponse response;
    bool tell_shim = false;
  };
  absl::StatusOr<Updated> DoUpdate(const Caller& caller, const UpdateRequest& request);
  void RunUpdate(const CallInfo& call, const UpdateRequest& request, Done<UpdateResponse> done);
  absl::Status DoDelete(const Caller& caller, const DeleteRequest& request);

  metadata::ContainerStore& store_;
  EventSink& events_;
  Executor& executor_;
  const ApplyLabels apply_labels_;
};

}  // namespace berth

#endif  // BERTH_SERVER_API_CONTAINERS_SERVICE_H_
