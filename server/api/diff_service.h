// containerd.services.diff.v1.Diff: layers to mounts and mounts to layers, by berth-worker.
//
// No thread waits while the worker works. A layer that the worker finds damaged is taken out of the
// content store, so that the next pull fetches it again. What a failed or cancelled Diff uploaded
// is removed, unless the caller named the upload. Thread-safe; owned by server/main.
#ifndef BERTH_SERVER_API_DIFF_SERVICE_H_
#define BERTH_SERVER_API_DIFF_SERVICE_H_

#include <memory>

#include "absl/status/statusor.h"
#include "base/grpc/call_info.h"
#include "base/grpc/executor.h"
#include "base/grpc/unary.h"
#include "proto/berth/worker/v1/worker.pb.h"
#include "proto/containerd/services/diff/v1/diff.grpc.pb.h"
#include "server/content/content_store.h"
#include "server/metadata/caller.h"
#include "server/worker/client/worker_client.h"

namespace berth {

class DiffService final : public containerd::services::diff::v1::Diff::CallbackService {
 public:
  using ApplyRequest = containerd::services::diff::v1::ApplyRequest;
  using ApplyResponse = containerd::services::diff::v1::ApplyResponse;
  using DiffRequest = containerd::services::diff::v1::DiffRequest;
  using DiffResponse = containerd::services::diff::v1::DiffResponse;

  DiffService(content::ContentStore& store, worker::WorkerClient& worker, Executor& executor)
      : store_(store), worker_(worker), executor_(executor) {}

  grpc::ServerUnaryReactor* Apply(grpc::CallbackServerContext* context, const ApplyRequest* request,
                                  ApplyResponse* response) override;
  grpc::ServerUnaryReactor* Diff(grpc::CallbackServerContext* context, const DiffRequest* request,
                                 DiffResponse* response) override;

 private:
  struct ApplyCall;
  struct DiffCall;

  void BeginApply(std::shared_ptr<ApplyCall> call);
  void EndApply(std::shared_ptr<ApplyCall> call, absl::StatusOr<worker::v1::ApplyResponse> result);
  void BeginDiff(std::shared_ptr<DiffCall> call);
  void EndDiff(std::shared_ptr<DiffCall> call, absl::StatusOr<worker::v1::DiffResponse> result);
  absl::StatusOr<DiffResponse> CommitDiff(DiffCall& call, const worker::v1::DiffResponse& result);

  content::ContentStore& store_;
  worker::WorkerClient& worker_;
  Executor& executor_;
};

}  // namespace berth

#endif  // BERTH_SERVER_API_DIFF_SERVICE_H_
