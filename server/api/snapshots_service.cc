#include "server/api/snapshots_service.h"

#include <string>
#include <utility>
#include <vector>

#include "base/grpc/unary.h"
#include "base/status/status_macros.h"
#include "proto/containerd/events/snapshot.pb.h"
#include "server/api/caller_of.h"

namespace berth {
namespace {

using metadata::Caller;

// A message of this many infos stays far below the 16 MiB that clients take, also with full labels.
constexpr int kListBatch = 100;

template <typename Response>
Response ToResponse(const std::vector<snapshots::Mount>& mounts) {
  Response response;
  for (const snapshots::Mount& mount : mounts) {
    containerd::types::Mount& message = *response.add_mounts();
    message.set_type(mount.type);
    message.set_source(mount.source);
    message.set_target(mount.target);
    message.mutable_options()->Assign(mount.options.begin(), mount.options.end());
  }
  return response;
}

template <typename Request>
metadata::SnapshotStore::NewSnapshot ToNewSnapshot(const Request& request) {
  return {request.key(), request.parent(), request.labels()};
}

}  // namespace

absl::StatusOr<SnapshotsService::PrepareResponse> SnapshotsService::DoPrepare(
    const Caller& caller, const PrepareRequest& request) {
  BERTH_ASSIGN_OR_RETURN(const auto mounts,
                         store_.Prepare(caller, request.snapshotter(), ToNewSnapshot(request)));
  containerd::events::SnapshotPrepare event;
  event.set_key(request.key());
  event.set_parent(request.parent());
  event.set_snapshotter(request.snapshotter());
  events_.Publish(caller.ns, "/snapshot/prepare", event);
  return ToResponse<PrepareResponse>(mounts);
}

absl::Status SnapshotsService::DoCommit(const Caller& caller, const CommitRequest& request) {
  BERTH_RETURN_IF_ERROR(
      store_.Commit(caller, request.snapshotter(),
                    {request.name(), request.key(), request.parent(), request.labels()}));
  containerd::events::SnapshotCommit event;
  event.set_key(request.key());
  event.set_name(request.name());
  event.set_snapshotter(request.snapshotter());
  events_.Publish(caller.ns, "/snapshot/commit", event);
  return absl::OkStatus();
}

absl::Status SnapshotsService::DoRemove(const Caller& caller, const RemoveRequest& request) {
  BERTH_RETURN_IF_ERROR(store_.Remove(caller, request.snapshotter(), request.key()));
  containerd::events::SnapshotRemove event;
  event.set_key(request.key());
  event.set_snapshotter(request.snapshotter());
  events_.Publish(caller.ns, "/snapshot/remove", event);
  return absl::OkStatus();
}

absl::StatusOr<StreamSource<SnapshotsService::ListResponse>> SnapshotsService::DoList(
    const CallInfo& call, const ListRequest& request) {
  BERTH_ASSIGN_OR_RETURN(const Caller caller, CallerOf(call));
  BERTH_ASSIGN_OR_RETURN(const Filter filter,
                         Filter::Compile(std::vector<std::string>(request.filters().begin(),
                                                                  request.filters().end())));
  return StreamSource<ListResponse>(
      [this, caller, filter, snapshotter = request.snapshotter(),
       after = std::string()](ListResponse& response) mutable -> absl::StatusOr<bool> {
        BERTH_ASSIGN_OR_RETURN(std::vector<metadata::SnapshotInfo> infos,
                               store_.List(caller, snapshotter, filter, after, kListBatch));
        if (infos.empty()) return false;
        after = infos.back().name();
        for (metadata::SnapshotInfo& info : infos) *response.add_info() = std::move(info);
        return true;
      });
}

grpc::ServerUnaryReactor* SnapshotsService::Prepare(grpc::CallbackServerContext* context,
                                                    const PrepareRequest* request,
                                                    PrepareResponse* response) {
  return Unary(
      context, executor_, request, response,
      WithCaller([this](const CallInfo&, const Caller& caller, const PrepareRequest& request) {
        return DoPrepare(caller, request);
      }));
}

grpc::ServerUnaryReactor* SnapshotsService::View(grpc::CallbackServerContext* context,
                                                 const ViewRequest* request,
                                                 ViewResponse* response) {
  return Unary(context, executor_, request, response,
               WithCaller([this](const CallInfo&, const Caller& caller,
                                 const ViewRequest& request) -> absl::StatusOr<ViewResponse> {
                 BERTH_ASSIGN_OR_RETURN(
                     const auto mounts,
                     store_.View(caller, request.snapshotter(), ToNewSnapshot(request)));
                 return ToResponse<ViewResponse>(mounts);
               }));
}

grpc::ServerUnaryReactor* SnapshotsService::Mounts(grpc::CallbackServerContext* context,
                                                   const MountsRequest* request,
                                                   MountsResponse* response) {
  return Unary(context, executor_, request, response,
               WithCaller([this](const CallInfo&, const Caller& caller,
                                 const MountsRequest& request) -> absl::StatusOr<MountsResponse> {
                 BERTH_ASSIGN_OR_RETURN(
                     const auto mounts,
                     store_.GetMounts(caller, request.snapshotter(), request.key()));
                 return ToResponse<MountsResponse>(mounts);
               }));
}

grpc::ServerUnaryReactor* SnapshotsService::Commit(grpc::CallbackServerContext* context,
                                                   const CommitRequest* request, Empty* response) {
  return Unary(
      context, executor_, request, response,
      WithCaller([this](const CallInfo&, const Caller& caller, const CommitRequest& request) {
        return DoCommit(caller, request);
      }));
}

grpc::ServerUnaryReactor* SnapshotsService::Remove(grpc::CallbackServerContext* context,
                                                   const RemoveRequest* request, Empty* response) {
  return Unary(
      context, executor_, request, response,
      WithCaller([this](const CallInfo&, const Caller& caller, const RemoveRequest& request) {
        return DoRemove(caller, request);
      }));
}

grpc::ServerUnaryReactor* SnapshotsService::Stat(grpc::CallbackServerContext* context,
                                                 const StatRequest* request,
                                                 StatResponse* response) {
  return Unary(context, executor_, request, response,
               WithCaller([this](const CallInfo&, const Caller& caller,
                                 const StatRequest& request) -> absl::StatusOr<StatResponse> {
                 StatResponse answer;
                 BERTH_ASSIGN_OR_RETURN(*answer.mutable_info(),
                                        store_.Stat(caller, request.snapshotter(), request.key()));
                 return answer;
               }));
}

grpc::ServerUnaryReactor* SnapshotsService::Update(grpc::CallbackServerContext* context,
                                                   const UpdateRequest* request,
                                                   UpdateResponse* response) {
  return Unary(context, executor_, request, response,
               WithCaller([this](const CallInfo&, const Caller& caller,
                                 const UpdateRequest& request) -> absl::StatusOr<UpdateResponse> {
                 const auto& paths = request.update_mask().paths();
                 const std::vector<std::string> mask(paths.begin(), paths.end());
                 UpdateResponse answer;
                 BERTH_ASSIGN_OR_RETURN(
                     *answer.mutable_info(),
                     store_.Update(caller, request.snapshotter(), request.info(), mask));
                 return answer;
               }));
}

grpc::ServerWriteReactor<SnapshotsService::ListResponse>* SnapshotsService::List(
    grpc::CallbackServerContext* context, const ListRequest* request) {
  return PullStream<ListResponse>(
      context, executor_, request,
      [this](const CallInfo& call, const ListRequest& request) { return DoList(call, request); });
}

grpc::ServerUnaryReactor* SnapshotsService::Usage(grpc::CallbackServerContext* context,
                                                  const UsageRequest* request,
                                                  UsageResponse* response) {
  return Unary(context, executor_, request, response,
               WithCaller([this](const CallInfo&, const Caller& caller,
                                 const UsageRequest& request) -> absl::StatusOr<UsageResponse> {
                 BERTH_ASSIGN_OR_RETURN(
                     const snapshots::Usage usage,
                     store_.GetUsage(caller, request.snapshotter(), request.key()));
                 UsageResponse answer;
                 answer.set_size(usage.size_bytes);
                 answer.set_inodes(usage.inodes);
                 return answer;
               }));
}

grpc::ServerUnaryReactor* SnapshotsService::Cleanup(grpc::CallbackServerContext* context,
                                                    const CleanupRequest* request,
                                                    Empty* response) {
  return Unary(context, executor_, request, response,
               [this](const CallInfo&, const CleanupRequest& request) {
                 return store_.Cleanup(request.snapshotter());
               });
}

}  // namespace berth
