#include "server/api/diff_service.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/status/status_macros.h"
#include "server/api/caller_of.h"
#include "server/content/ingest_writer.h"
#include "server/metadata/labels.h"

namespace berth {
namespace {

constexpr char kLayerMediaType[] = "application/vnd.oci.image.layer.v1.tar";
constexpr char kGzipLayerMediaType[] = "application/vnd.oci.image.layer.v1.tar+gzip";
constexpr char kUncompressedLabel[] = "containerd.io/uncompressed";

template <typename Mounts>
void CopyMounts(const Mounts& from, google::protobuf::RepeatedPtrField<worker::v1::Mount>* to) {
  for (const auto& mount : from) {
    worker::v1::Mount& copy = *to->Add();
    copy.set_type(mount.type());
    copy.set_source(mount.source());
    copy.set_target(mount.target());
    *copy.mutable_options() = mount.options();
  }
}

absl::Status Busy() {
  return absl::ResourceExhaustedError(
      "too many calls are waiting to be served; try again in a moment");
}

}  // namespace

struct DiffService::ApplyCall {
  CallInfo info;
  metadata::Caller caller;
  ApplyRequest request;
  Done<ApplyResponse> done;
};

struct DiffService::DiffCall {
  CallInfo info;
  metadata::Caller caller;
  DiffRequest request;
  Done<DiffResponse> done;
  std::unique_ptr<content::IngestWriter> upload;
};

grpc::ServerUnaryReactor* DiffService::Apply(grpc::CallbackServerContext* context,
                                             const ApplyRequest* request, ApplyResponse* response) {
  return UnaryAsync(
      context, request, response,
      [this](const CallInfo& info, const ApplyRequest& request, Done<ApplyResponse> done) {
        absl::StatusOr<metadata::Caller> caller = CallerOf(info);
        if (!caller.ok()) return done(caller.status());
        std::shared_ptr<ApplyCall> call(
            new ApplyCall{info, *std::move(caller), request, std::move(done)});
        if (!executor_.Post([this, call] { BeginApply(call); })) call->done(Busy());
      });
}

void DiffService::BeginApply(std::shared_ptr<ApplyCall> call) {
  const auto& layer = call->request.diff();
  // The worker sees every blob; what this namespace may see is decided here.
  const absl::Status visible = store_.OpenBlob(call->caller, layer.digest()).status();
  if (!visible.ok()) return call->done(visible);
  worker::v1::ApplyRequest request;
  request.set_digest(layer.digest());
  request.set_media_type(layer.media_type());
  CopyMounts(call->request.mounts(), request.mutable_mounts());
  request.set_sync(call->request.sync_fs());
  const uint64_t job = worker_.Apply(
      std::move(request), [this, call](absl::StatusOr<worker::v1::ApplyResponse> result) {
        executor_.PostContinuation([this, call, result = std::move(result)]() mutable {
          EndApply(call, std::move(result));
        });
      });
  call->info.OnCancel([this, job] { worker_.Cancel(job); });
}

void DiffService::EndApply(std::shared_ptr<ApplyCall> call,
                           absl::StatusOr<worker::v1::ApplyResponse> result) {
  if (absl::IsDataLoss(result.status())) {
    // Takes the blob out of use if it is indeed damaged, and then says where it went.
    const absl::Status verified = store_.Verify(call->caller, call->request.diff().digest());
    return call->done(absl::IsDataLoss(verified) ? verified : result.status());
  }
  if (!result.ok()) return call->done(result.status());
  ApplyResponse response;
  response.mutable_applied()->set_media_type(kLayerMediaType);
  response.mutable_applied()->set_digest(result->digest());
  response.mutable_applied()->set_size(result->size());
  call->done(std::move(response));
}

grpc::ServerUnaryReactor* DiffService::Diff(grpc::CallbackServerContext* context,
                                            const DiffRequest* request, DiffResponse* response) {
  return UnaryAsync(
      context, request, response,
      [this](const CallInfo& info, const DiffRequest& request, Done<DiffResponse> done) {
        absl::StatusOr<metadata::Caller> caller = CallerOf(info);
        if (!caller.ok()) return done(caller.status());
        std::shared_ptr<DiffCall> call(
            new DiffCall{info, *std::move(caller), request, std::move(done), nullptr});
        if (call->request.media_type().empty()) call->request.set_media_type(kGzipLayerMediaType);
        if (!executor_.Post([this, call] { BeginDiff(call); })) call->done(Busy());
      });
}

void DiffService::BeginDiff(std::shared_ptr<DiffCall> call) {
  std::string ref = call->request.ref();
  if (ref.empty()) {
    ref = absl::StrCat("diff-", absl::GetCurrentTimeNanos(), "-",
                       absl::Hex(reinterpret_cast<uintptr_t>(call.get())));
  }
  auto upload = store_.OpenWriter(call->caller, {ref, 0, ""});
  if (!upload.ok()) return call->done(upload.status());
  call->upload = *std::move(upload);
  const absl::StatusOr<std::string> file = call->upload->FileName();
  if (!file.ok()) return call->done(file.status());

  worker::v1::DiffRequest request;
  CopyMounts(call->request.left(), request.mutable_left());
  CopyMounts(call->request.right(), request.mutable_right());
  request.set_media_type(call->request.media_type());
  request.set_upload(*file);
  if (call->request.has_source_date_epoch()) {
    *request.mutable_source_date_epoch() = call->request.source_date_epoch();
  }
  const uint64_t job = worker_.Diff(
      std::move(request), [this, call](absl::StatusOr<worker::v1::DiffResponse> result) {
        executor_.PostContinuation([this, call, result = std::move(result)]() mutable {
          EndDiff(call, std::move(result));
        });
      });
  call->info.OnCancel([this, job] { worker_.Cancel(job); });
}

void DiffService::EndDiff(std::shared_ptr<DiffCall> call,
                          absl::StatusOr<worker::v1::DiffResponse> result) {
  absl::StatusOr<DiffResponse> response =
      result.ok() ? CommitDiff(*call, *result) : absl::StatusOr<DiffResponse>(result.status());
  if (!response.ok() && call->request.ref().empty()) {
    // Nobody else knows the ref. What stays in spite of this expires within a day.
    (void)call->upload->Abort();
  }
  // The ref is free before the client has its answer.
  call->upload.reset();
  call->done(std::move(response));
}

absl::StatusOr<DiffService::DiffResponse> DiffService::CommitDiff(
    DiffCall& call, const worker::v1::DiffResponse& result) {
  // The bytes are hashed again here: the worker reads foreign trees and is not trusted with names.
  BERTH_RETURN_IF_ERROR(call.upload->Reload());
  metadata::Labels labels = call.request.labels();
  if (result.uncompressed_digest() != result.digest()) {
    labels[kUncompressedLabel] = result.uncompressed_digest();
  }
  const absl::Status committed =
      call.upload->Commit(result.size(), result.digest(), labels).status();
  if (!committed.ok() && !absl::IsAlreadyExists(committed)) return committed;

  BERTH_ASSIGN_OR_RETURN(content::ContentStore::Info info,
                         store_.GetInfo(call.caller, result.digest()));
  if (labels.contains(kUncompressedLabel) && !info.labels().contains(kUncompressedLabel)) {
    // The blob existed before anybody knew what is in it.
    (*info.mutable_labels())[kUncompressedLabel] = labels[kUncompressedLabel];
    const std::string path = absl::StrCat("labels.", kUncompressedLabel);
    BERTH_RETURN_IF_ERROR(store_.Update(call.caller, info, {&path, 1}));
  }
  DiffResponse response;
  response.mutable_diff()->set_media_type(call.request.media_type());
  response.mutable_diff()->set_digest(info.digest());
  response.mutable_diff()->set_size(info.size());
  return response;
}

}  // namespace berth
