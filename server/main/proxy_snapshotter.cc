#include "server/main/proxy_snapshotter.h"

#include <grpcpp/grpcpp.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/grpc/status_conversion.h"
#include "base/status/status_macros.h"
#include "proto/containerd/services/snapshots/v1/snapshots.grpc.pb.h"

namespace berth {
namespace {

namespace api = containerd::services::snapshots::v1;
using snapshots::AlsoInTransaction;

// Unpacking a remote layer may take long; a process that does not answer at all must not hold a
// thread for ever.
constexpr absl::Duration kPatience = absl::Minutes(5);
// The other process's own namespace header: all that Berth has there is in one.
constexpr char kNamespace[] = "berth";
// Where the other process is a containerd, it would collect what nothing of its own refers to.
constexpr char kRootLabel[] = "containerd.io/gc.root";

absl::Time FromProto(const google::protobuf::Timestamp& timestamp) {
  return absl::FromUnixSeconds(timestamp.seconds()) + absl::Nanoseconds(timestamp.nanos());
}

snapshots::Info FromProto(const api::Info& info) {
  snapshots::Info result;
  result.kind = static_cast<snapshots::Kind>(info.kind());  // the same numbers
  result.name = info.name();
  result.parent = info.parent();
  result.labels.insert(info.labels().begin(), info.labels().end());
  result.created = FromProto(info.created_at());
  result.updated = FromProto(info.updated_at());
  return result;
}

template <typename Mounts>
std::vector<snapshots::Mount> FromProto(const Mounts& mounts) {
  std::vector<snapshots::Mount> result;
  for (const auto& mount : mounts) {
    result.push_back({mount.type(), mount.source(), mount.target(),
                      std::vector<std::string>(mount.options().begin(), mount.options().end())});
  }
  return result;
}

class ProxySnapshotter final : public snapshots::Snapshotter {
 public:
  ProxySnapshotter(ProxyAddress address, sqlite::Database& database)
      : database_(database), address_(std::move(address)) {
    description_.name = address_.name;
    description_.root = address_.socket;
    stub_ = api::Snapshots::NewStub(grpc::CreateChannel(absl::StrCat("unix:", address_.socket),
                                                        grpc::InsecureChannelCredentials()));
  }

  const Description& description() const override { return description_; }

  absl::StatusOr<snapshots::Info> Stat(absl::string_view key) override {
    BERTH_ASSIGN_OR_RETURN(const auto response,
                           CallWithKey<api::StatSnapshotResponse>(&api::Snapshots::Stub::Stat,
                                                                  api::StatSnapshotRequest(), key));
    return FromProto(response.info());
  }

  absl::StatusOr<snapshots::Info> Update(const snapshots::Info& info,
                                         const snapshots::UpdateOptions& options) override {
    api::UpdateSnapshotRequest request;
    request.mutable_info()->set_name(info.name);
    request.mutable_info()->mutable_labels()->insert(info.labels.begin(), info.labels.end());
    for (const std::string& path : options.field_paths) {
      request.mutable_update_mask()->add_paths(path);
    }
    BERTH_ASSIGN_OR_RETURN(
        const auto response,
        Call<api::UpdateSnapshotResponse>(&api::Snapshots::Stub::Update, std::move(request)));
    BERTH_RETURN_IF_ERROR(Record(options.also));
    return FromProto(response.info());
  }

  absl::StatusOr<snapshots::Usage> GetUsage(absl::string_view key) override {
    BERTH_ASSIGN_OR_RETURN(
        const auto response,
        CallWithKey<api::UsageResponse>(&api::Snapshots::Stub::Usage, api::UsageRequest(), key));
    return snapshots::Usage{response.size(), response.inodes()};
  }

  absl::StatusOr<std::vector<snapshots::Mount>> Mounts(absl::string_view key) override {
    BERTH_ASSIGN_OR_RETURN(
        const auto response,
        CallWithKey<api::MountsResponse>(&api::Snapshots::Stub::Mounts, api::MountsRequest(), key));
    return FromProto(response.mounts());
  }

  absl::StatusOr<std::vector<snapshots::Mount>> Prepare(
      absl::string_view key, absl::string_view parent,
      const snapshots::CreateOptions& options) override {
    return Create<api::PrepareSnapshotResponse>(
        &api::Snapshots::Stub::Prepare, api::PrepareSnapshotRequest(), key, parent, options);
  }
  absl::StatusOr<std::vector<snapshots::Mount>> View(
      absl::string_view key, absl::string_view parent,
      const snapshots::CreateOptions& options) override {
    return Create<api::ViewSnapshotResponse>(&api::Snapshots::Stub::View,
                                             api::ViewSnapshotRequest(), key, parent, options);
  }

  absl::Status Commit(absl::string_view name, absl::string_view key,
                      const snapshots::CommitOptions& options) override {
    api::CommitSnapshotRequest request;
    request.set_name(std::string(name));
    request.set_key(std::string(key));
    request.set_parent(options.parent);
    request.mutable_labels()->insert(options.labels.begin(), options.labels.end());
    (*request.mutable_labels())[kRootLabel] = kNamespace;
    BERTH_RETURN_IF_ERROR(
        Call<google::protobuf::Empty>(&api::Snapshots::Stub::Commit, std::move(request)).status());
    return RecordOrRemove(options.also, name);
  }

  absl::Status Remove(absl::string_view key, const snapshots::RemoveOptions& options) override {
    BERTH_RETURN_IF_ERROR(Record(options.also));
    return CallWithKey<google::protobuf::Empty>(&api::Snapshots::Stub::Remove,
                                                api::RemoveSnapshotRequest(), key)
        .status();
  }

  absl::Status Walk(absl::FunctionRef<absl::Status(const snapshots::Info&)> visit) override {
    api::ListSnapshotsRequest request;
    request.set_snapshotter(address_.snapshotter);
    grpc::ClientContext context;
    Prepare(context);
    const auto reader = stub_->List(&context, request);
    // Collected first: `visit` may change snapshots, and take its time.
    std::map<std::string, snapshots::Info> found;
    api::ListSnapshotsResponse response;
    while (reader->Read(&response)) {
      for (const api::Info& info : response.info()) found[info.name()] = FromProto(info);
    }
    BERTH_RETURN_IF_ERROR(FromGrpc(reader->Finish())) << Where();
    for (const auto& [name, info] : found) BERTH_RETURN_IF_ERROR(visit(info));
    return absl::OkStatus();
  }

  absl::Status Cleanup() override {
    api::CleanupRequest request;
    const absl::Status status =
        Call<google::protobuf::Empty>(&api::Snapshots::Stub::Cleanup, std::move(request)).status();
    return absl::IsUnimplemented(status) ? absl::OkStatus() : status;
  }
  absl::Status Close() override { return absl::OkStatus(); }

 private:
  void Prepare(grpc::ClientContext& context) const {
    context.AddMetadata("containerd-namespace", kNamespace);
    context.set_deadline(absl::ToChronoTime(absl::Now() + kPatience));
  }
  std::string Where() const {
    return absl::StrCat("snapshotter \"", description_.name, "\" at ", address_.socket);
  }

  template <typename Response, typename Request, typename Method>
  absl::StatusOr<Response> Call(Method method, Request request) {
    request.set_snapshotter(address_.snapshotter);
    grpc::ClientContext context;
    Prepare(context);
    Response response;
    BERTH_RETURN_IF_ERROR(FromGrpc((stub_.get()->*method)(&context, request, &response)))
        << Where();
    return response;
  }
  template <typename Response, typename Request, typename Method>
  absl::StatusOr<Response> CallWithKey(Method method, Request request, absl::string_view key) {
    request.set_key(std::string(key));
    return Call<Response>(method, std::move(request));
  }

  template <typename Response, typename Request, typename Method>
  absl::StatusOr<std::vector<snapshots::Mount>> Create(Method method, Request request,
                                                       absl::string_view key,
                                                       absl::string_view parent,
                                                       const snapshots::CreateOptions& options) {
    request.set_parent(std::string(parent));
    request.mutable_labels()->insert(options.labels.begin(), options.labels.end());
    (*request.mutable_labels())[kRootLabel] = kNamespace;
    BERTH_ASSIGN_OR_RETURN(const auto response,
                           CallWithKey<Response>(method, std::move(request), key));
    BERTH_RETURN_IF_ERROR(RecordOrRemove(options.also, key));
    return FromProto(response.mounts());
  }

  absl::Status Record(const AlsoInTransaction& also) {
    if (!also) return absl::OkStatus();
    return database_.Write(sqlite::WriteMode::kDurable, also);
  }
  absl::Status RecordOrRemove(const AlsoInTransaction& also, absl::string_view key) {
    absl::Status status = Record(also);
    if (!status.ok()) {
      // What stays there all the same goes as a leftover.
      CallWithKey<google::protobuf::Empty>(&api::Snapshots::Stub::Remove,
                                           api::RemoveSnapshotRequest(), key)
          .status()
          .IgnoreError();
    }
    return status;
  }

  sqlite::Database& database_;
  const ProxyAddress address_;
  Description description_;
  std::unique_ptr<api::Snapshots::Stub> stub_;
};

}  // namespace

std::unique_ptr<snapshots::Snapshotter> MakeProxySnapshotter(ProxyAddress address,
                                                             sqlite::Database& database) {
  return std::make_unique<ProxySnapshotter>(std::move(address), database);
}

}  // namespace berth
