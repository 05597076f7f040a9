#include "server/api/images_service.h"

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/grpc/unary.h"
#include "base/status/status_macros.h"
#include "proto/containerd/events/image.pb.h"
#include "server/api/caller_of.h"
#include "server/metadata/record.h"

namespace berth {
namespace {

using Image = metadata::ImageStore::Image;

template <typename Request>
std::optional<absl::Time> SourceDateOf(const Request& request) {
  if (!request.has_source_date_epoch()) return std::nullopt;
  return metadata::FromTimestamp(request.source_date_epoch());
}

}  // namespace

grpc::ServerUnaryReactor* ImagesService::Get(grpc::CallbackServerContext* context,
                                             const GetRequest* request, GetResponse* response) {
  return Unary(context, executor_, request, response,
               WithCaller([this](const CallInfo&, const Caller& caller,
                                 const GetRequest& request) -> absl::StatusOr<GetResponse> {
                 GetResponse response;
                 BERTH_ASSIGN_OR_RETURN(*response.mutable_image(),
                                        store_.Get(caller, request.name()));
                 return response;
               }));
}

grpc::ServerUnaryReactor* ImagesService::List(grpc::CallbackServerContext* context,
                                              const ListRequest* request, ListResponse* response) {
  return Unary(context, executor_, request, response,
               WithCaller([this](const CallInfo&, const Caller& caller,
                                 const ListRequest& request) { return DoList(caller, request); }));
}

grpc::ServerUnaryReactor* ImagesService::Create(grpc::CallbackServerContext* context,
                                                const CreateRequest* request,
                                                CreateResponse* response) {
  return Unary(
      context, executor_, request, response,
      WithCaller([this](const CallInfo&, const Caller& caller, const CreateRequest& request) {
        return DoCreate(caller, request);
      }));
}

grpc::ServerUnaryReactor* ImagesService::Update(grpc::CallbackServerContext* context,
                                                const UpdateRequest* request,
                                                UpdateResponse* response) {
  return Unary(
      context, executor_, request, response,
      WithCaller([this](const CallInfo&, const Caller& caller, const UpdateRequest& request) {
        return DoUpdate(caller, request);
      }));
}

grpc::ServerUnaryReactor* ImagesService::Delete(grpc::CallbackServerContext* context,
                                                const DeleteRequest* request, Empty* response) {
  return Unary(
      context, executor_, request, response,
      WithCaller([this](const CallInfo& call, const Caller& caller, const DeleteRequest& request) {
        return DoDelete(call, caller, request);
      }));
}

absl::StatusOr<ImagesService::ListResponse> ImagesService::DoList(const Caller& caller,
                                                                  const ListRequest& request) {
  const std::vector<std::string> filters(request.filters().begin(), request.filters().end());
  BERTH_ASSIGN_OR_RETURN(std::vector<Image> all, store_.List(caller, filters));
  ListResponse response;
  for (Image& image : all) *response.add_images() = std::move(image);
  return response;
}

absl::StatusOr<ImagesService::CreateResponse> ImagesService::DoCreate(
    const Caller& caller, const CreateRequest& request) {
  CreateResponse response;
  BERTH_ASSIGN_OR_RETURN(*response.mutable_image(),
                         store_.Create(caller, request.image(), SourceDateOf(request)));
  containerd::services::images::v1::ImageCreate event;
  event.set_name(response.image().name());
  *event.mutable_labels() = response.image().labels();
  events_.Publish(caller.ns, "/images/create", event);
  return response;
}

absl::StatusOr<ImagesService::UpdateResponse> ImagesService::DoUpdate(
    const Caller& caller, const UpdateRequest& request) {
  const std::vector<std::string> mask(request.update_mask().paths().begin(),
                                      request.update_mask().paths().end());
  UpdateResponse response;
  BERTH_ASSIGN_OR_RETURN(*response.mutable_image(),
                         store_.Update(caller, request.image(), mask, SourceDateOf(request)));
  containerd::services::images::v1::ImageUpdate event;
  event.set_name(response.image().name());
  *event.mutable_labels() = response.image().labels();
  events_.Publish(caller.ns, "/images/update", event);
  return response;
}

absl::Status ImagesService::DoDelete(const CallInfo& call, const Caller& caller,
                                     const DeleteRequest& request) {
  BERTH_RETURN_IF_ERROR(store_.Delete(caller, request.name(), request.target().digest()));
  containerd::services::images::v1::ImageDelete event;
  event.set_name(request.name());
  events_.Publish(caller.ns, "/images/delete", event);
  if (!request.sync()) return absl::OkStatus();
  return collection_.CollectNow(call.deadline);
}

}  // namespace berth
