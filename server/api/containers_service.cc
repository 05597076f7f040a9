#include "server/api/containers_service.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/wire_format_lite.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/grpc/unary.h"
#include "base/status/status_macros.h"
#include "proto/containerd/events/container.pb.h"
#include "server/api/caller_of.h"
#include "server/task/restart_labels.h"

namespace berth {
namespace {

using Container = metadata::ContainerStore::Container;

std::vector<std::string> FiltersOf(const ContainersService::ListRequest& request) {
  return {request.filters().begin(), request.filters().end()};
}

// What a list holds of the daemon's memory while its client reads.
constexpr size_t kListPageBytes = 256 << 10;

// A ListMessage around a record, which is its field `container` as it was stored.
grpc::ByteBuffer ListMessageOf(absl::string_view record) {
  std::string head;
  {
    google::protobuf::io::StringOutputStream stream(&head);
    google::protobuf::io::CodedOutputStream coded(&stream);
    using google::protobuf::internal::WireFormatLite;
    WireFormatLite::WriteTag(ContainersService::ListMessage::kContainerFieldNumber,
                             WireFormatLite::WIRETYPE_LENGTH_DELIMITED, &coded);
    coded.WriteVarint32(static_cast<uint32_t>(record.size()));
  }
  const grpc::Slice slices[] = {grpc::Slice(head), grpc::Slice(record.data(), record.size())};
  return grpc::ByteBuffer(slices, 2);
}

}  // namespace

grpc::ServerUnaryReactor* ContainersService::Get(grpc::CallbackServerContext* context,
                                                 const GetRequest* request, GetResponse* response) {
  return Unary(context, executor_, request, response,
               WithCaller([this](const CallInfo&, const Caller& caller,
                                 const GetRequest& request) -> absl::StatusOr<GetResponse> {
                 GetResponse response;
                 BERTH_ASSIGN_OR_RETURN(*response.mutable_container(),
                                        store_.Get(caller, request.id()));
                 return response;
               }));
}

grpc::ServerUnaryReactor* ContainersService::List(grpc::CallbackServerContext* context,
                                                  const ListRequest* request,
                                                  ListResponse* response) {
  return Unary(context, executor_, request, response,
               WithCaller([this](const CallInfo&, const Caller& caller,
                                 const ListRequest& request) { return DoList(caller, request); }));
}

absl::StatusOr<PageSource> ContainersService::OpenListStream(const CallInfo& call,
                                                             grpc::ByteBuffer& request) {
  ListRequest list;
  if (!grpc::SerializationTraits<ListRequest>::Deserialize(&request, &list).ok()) {
    return absl::InvalidArgumentError("the request is no ListContainersRequest");
  }
  BERTH_ASSIGN_OR_RETURN(Caller caller, CallerOf(call));
  BERTH_ASSIGN_OR_RETURN(Filter filter, Filter::Compile(FiltersOf(list)));
  return PageSource([this, caller = std::move(caller), filter = std::move(filter),
                     after = std::string()](MessagePage& page) mutable {
    return store_.VisitPage(caller, filter, kListPageBytes, after, [&](absl::string_view record) {
      page.push_back(ListMessageOf(record));
    });
  });
}

PageStreams::Method ContainersService::ListStreamMethod() {
  PageStreams::Method method;
  method.request = [this](grpc::ServerContext* context, grpc::ByteBuffer* request,
                          grpc::ServerAsyncWriter<grpc::ByteBuffer>* writer,
                          grpc::ServerCompletionQueue* queue, void* tag) {
    RequestListStream(context, request, writer, queue, queue, tag);
  };
  method.open = [this](const CallInfo& call, grpc::ByteBuffer& request) {
    return OpenListStream(call, request);
  };
  return method;
}

grpc::ServerUnaryReactor* ContainersService::Create(grpc::CallbackServerContext* context,
                                                    const CreateRequest* request,
                                                    CreateResponse* response) {
  return Unary(
      context, executor_, request, response,
      WithCaller([this](const CallInfo&, const Caller& caller, const CreateRequest& request) {
        return DoCreate(caller, request);
      }));
}

grpc::ServerUnaryReactor* ContainersService::Update(grpc::CallbackServerContext* context,
                                                    const UpdateRequest* request,
                                                    UpdateResponse* response) {
  return UnaryAsync(
      context, request, response,
      [this](const CallInfo& call, const UpdateRequest& request, Done<UpdateResponse> done) {
        // A bounded queue, as of every call that waits for a disk.
        auto shared = std::make_shared<Done<UpdateResponse>>(std::move(done));
        const bool posted = executor_.Post(
            [this, call, request, shared] { RunUpdate(call, request, std::move(*shared)); });
        if (!posted) {
          (*shared)(absl::ResourceExhaustedError("the daemon is busy: try again later"));
        }
      });
}

void ContainersService::RunUpdate(const CallInfo& call, const UpdateRequest& request,
                                  Done<UpdateResponse> done) {
  const auto caller = CallerOf(call);
  if (!caller.ok()) return done(caller.status());
  absl::StatusOr<Updated> updated = DoUpdate(*caller, request);
  if (!updated.ok()) return done(updated.status());
  if (!updated->tell_shim) return done(std::move(updated->response));
  const Container container = updated->response.container();
  apply_labels_(
      caller->ns, container,
      [response = std::move(updated->response), done = std::move(done)](absl::Status told) mutable {
        if (told.ok()) return done(std::move(response));
        done(Annotate(told, absl::StrCat("the record of container \"", response.container().id(),
                                         "\" is changed, but its shim does not know the "
                                         "restart policy yet; repeat the update")));
      });
}

grpc::ServerUnaryReactor* ContainersService::Delete(grpc::CallbackServerContext* context,
                                                    const DeleteRequest* request, Empty* response) {
  return Unary(
      context, executor_, request, response,
      WithCaller([this](const CallInfo&, const Caller& caller, const DeleteRequest& request) {
        return DoDelete(caller, request);
      }));
}

absl::StatusOr<ContainersService::ListResponse> ContainersService::DoList(
    const Caller& caller, const ListRequest& request) {
  BERTH_ASSIGN_OR_RETURN(std::vector<Container> all, store_.List(caller, FiltersOf(request)));
  ListResponse response;
  for (Container& container : all) *response.add_containers() = std::move(container);
  return response;
}

absl::StatusOr<ContainersService::CreateResponse> ContainersService::DoCreate(
    const Caller& caller, const CreateRequest& request) {
  CreateResponse response;
  BERTH_ASSIGN_OR_RETURN(*response.mutable_container(), store_.Create(caller, request.container()));
  const Container& container = response.container();
  containerd::events::ContainerCreate event;
  event.set_id(container.id());
  event.set_image(container.image());
  event.mutable_runtime()->set_name(container.runtime().name());
  if (container.runtime().has_options()) {
    *event.mutable_runtime()->mutable_options() = container.runtime().options();
  }
  events_.Publish(caller.ns, "/containers/create", event);
  return response;
}

absl::StatusOr<ContainersService::Updated> ContainersService::DoUpdate(
    const Caller& caller, const UpdateRequest& request) {
  const std::vector<std::string> mask(request.update_mask().paths().begin(),
                                      request.update_mask().paths().end());
  Updated updated;
  // What had a policy by its labels may lose it by this.
  const auto before = store_.Get(caller, request.container().id());
  BERTH_ASSIGN_OR_RETURN(*updated.response.mutable_container(),
                         store_.Update(caller, request.container(), mask));
  const Container& container = updated.response.container();
  updated.tell_shim = apply_labels_ && (HasRestartLabels(container.labels()) ||
                                        (before.ok() && HasRestartLabels(before->labels())));
  containerd::events::ContainerUpdate event;
  event.set_id(container.id());
  event.set_image(container.image());
  *event.mutable_labels() = container.labels();
  event.set_snapshot_key(container.snapshot_key());
  events_.Publish(caller.ns, "/containers/update", event);
  return updated;
}

absl::Status ContainersService::DoDelete(const Caller& caller, const DeleteRequest& request) {
  BERTH_RETURN_IF_ERROR(store_.Delete(caller, request.id()));
  containerd::events::ContainerDelete event;
  event.set_id(request.id());
  events_.Publish(caller.ns, "/containers/delete", event);
  return absl::OkStatus();
}

}  // namespace berth
