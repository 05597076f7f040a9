// containerd.services.content.v1.Content: the blobs of a namespace, and their uploads.
// Thread-safe; owned by server/main.
#ifndef BERTH_SERVER_API_CONTENT_SERVICE_H_
#define BERTH_SERVER_API_CONTENT_SERVICE_H_

#include "absl/status/statusor.h"
#include "base/grpc/call_info.h"
#include "base/grpc/executor.h"
#include "base/grpc/server_stream.h"
#include "proto/containerd/services/content/v1/content.grpc.pb.h"
#include "server/content/content_store.h"

namespace berth {

class ContentService final : public containerd::services::content::v1::Content::CallbackService {
 public:
  using InfoRequest = containerd::services::content::v1::InfoRequest;
  using InfoResponse = containerd::services::content::v1::InfoResponse;
  using UpdateRequest = containerd::services::content::v1::UpdateRequest;
  using UpdateResponse = containerd::services::content::v1::UpdateResponse;
  using ListRequest = containerd::services::content::v1::ListContentRequest;
  using ListResponse = containerd::services::content::v1::ListContentResponse;
  using DeleteRequest = containerd::services::content::v1::DeleteContentRequest;
  using ReadRequest = containerd::services::content::v1::ReadContentRequest;
  using ReadResponse = containerd::services::content::v1::ReadContentResponse;
  using StatusRequest = containerd::services::content::v1::StatusRequest;
  using StatusResponse = containerd::services::content::v1::StatusResponse;
  using ListStatusesRequest = containerd::services::content::v1::ListStatusesRequest;
  using ListStatusesResponse = containerd::services::content::v1::ListStatusesResponse;
  using WriteRequest = containerd::services::content::v1::WriteContentRequest;
  using WriteResponse = containerd::services::content::v1::WriteContentResponse;
  using AbortRequest = containerd::services::content::v1::AbortRequest;
  using Empty = google::protobuf::Empty;

  ContentService(content::ContentStore& store, Executor& executor)
      : store_(store), executor_(executor) {}

  grpc::ServerUnaryReactor* Info(grpc::CallbackServerContext* context, const InfoRequest* request,
                                 InfoResponse* response) override;
  grpc::ServerUnaryReactor* Update(grpc::CallbackServerContext* context,
                                   const UpdateRequest* request, UpdateResponse* response) override;
  grpc::ServerWriteReactor<ListResponse>* List(grpc::CallbackServerContext* context,
                                               const ListRequest* request) override;
  grpc::ServerUnaryReactor* Delete(grpc::CallbackServerContext* context,
                                   const DeleteRequest* request, Empty* response) override;
  grpc::ServerWriteReactor<ReadResponse>* Read(grpc::CallbackServerContext* context,
                                               const ReadRequest* request) override;
  grpc::ServerUnaryReactor* Status(grpc::CallbackServerContext* context,
                                   const StatusRequest* request, StatusResponse* response) override;
  grpc::ServerUnaryReactor* ListStatuses(grpc::CallbackServerContext* context,
                                         const ListStatusesRequest* request,
                                         ListStatusesResponse* response) override;
  grpc::ServerBidiReactor<WriteRequest, WriteResponse>* Write(
      grpc::CallbackServerContext* context) override;
  grpc::ServerUnaryReactor* Abort(grpc::CallbackServerContext* context, const AbortRequest* request,
                                  Empty* response) override;

 private:
  absl::StatusOr<StreamSource<ListResponse>> OpenList(const CallInfo& call,
                                                      const ListRequest& request);
  absl::StatusOr<StreamSource<ReadResponse>> OpenRead(const CallInfo& call,
                                                      const ReadRequest& request);

  content::ContentStore& store_;
  Executor& executor_;
};

}  // namespace berth

#endif  // BERTH_SERVER_API_CONTENT_SERVICE_H_
