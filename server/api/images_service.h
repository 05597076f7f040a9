// containerd.services.images.v1.Images: records of images, their events, and garbage collection
// before the answer where Delete asks for it. Thread-safe; owned by server/main.
#ifndef BERTH_SERVER_API_IMAGES_SERVICE_H_
#define BERTH_SERVER_API_IMAGES_SERVICE_H_

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/grpc/call_info.h"
#include "base/grpc/executor.h"
#include "proto/containerd/services/images/v1/images.grpc.pb.h"
#include "server/events/event_sink.h"
#include "server/gc/scheduler.h"
#include "server/metadata/caller.h"
#include "server/metadata/image_store.h"

namespace berth {

class ImagesService final : public containerd::services::images::v1::Images::CallbackService {
 public:
  using GetRequest = containerd::services::images::v1::GetImageRequest;
  using GetResponse = containerd::services::images::v1::GetImageResponse;
  using ListRequest = containerd::services::images::v1::ListImagesRequest;
  using ListResponse = containerd::services::images::v1::ListImagesResponse;
  using CreateRequest = containerd::services::images::v1::CreateImageRequest;
  using CreateResponse = containerd::services::images::v1::CreateImageResponse;
  using UpdateRequest = containerd::services::images::v1::UpdateImageRequest;
  using UpdateResponse = containerd::services::images::v1::UpdateImageResponse;
  using DeleteRequest = containerd::services::images::v1::DeleteImageRequest;
  using Empty = google::protobuf::Empty;

  ImagesService(metadata::ImageStore& store, EventSink& events, gc::Scheduler& collection,
                Executor& executor)
      : store_(store), events_(events), collection_(collection), executor_(executor) {}

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
  using Caller = metadata::Caller;
  absl::StatusOr<ListResponse> DoList(const Caller& caller, const ListRequest& request);
  absl::StatusOr<CreateResponse> DoCreate(const Caller& caller, const CreateRequest& request);
  absl::StatusOr<UpdateResponse> DoUpdate(const Caller& caller, const UpdateRequest& request);
  absl::Status DoDelete(const CallInfo& call, const Caller& caller, const DeleteRequest& request);

  metadata::ImageStore& store_;
  EventSink& events_;
  gc::Scheduler& collection_;
  Executor& executor_;
};

}  // namespace berth

#endif  // BERTH_SERVER_API_IMAGES_SERVICE_H_
