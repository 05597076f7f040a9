// berth.care.v1.Care over gRPC: fsck, the list of calls that have no answer yet, where the time of
// a task went, and the upgrade of shims in place. Thread-safe; owned by server/main.
#ifndef BERTH_SERVER_API_CARE_SERVICE_H_
#define BERTH_SERVER_API_CARE_SERVICE_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "base/grpc/call_info.h"
#include "base/grpc/executor.h"
#include "base/grpc/unary.h"
#include "proto/berth/care/v1/care.grpc.pb.h"
#include "server/api/operations.h"
#include "server/task/shim_programs.h"

namespace berth {

class TaskManager;
namespace content {
class ContentStore;
}  // namespace content
namespace metadata {
class LayerCheck;
class NamespaceStore;
}  // namespace metadata

class CareService final : public berth::care::v1::Care::CallbackService {
 public:
  struct Parts {
    content::ContentStore& content;
    metadata::NamespaceStore& namespaces;
    std::unique_ptr<metadata::LayerCheck> layers;
    std::shared_ptr<Operations> operations;
    std::string state;  // STATE, for the journals of tasks
    Executor& executor;
    TaskManager& tasks;
    // The id of the container that a name or the beginning of an id means. Blocks.
    std::function<absl::StatusOr<std::string>(const std::string& ns, const std::string& text)>
        resolve;
  };
  explicit CareService(Parts parts);
  ~CareService() override;

  grpc::ServerWriteReactor<care::v1::CheckReport>* Check(
      grpc::CallbackServerContext* context, const care::v1::CheckRequest* request) override;
  grpc::ServerUnaryReactor* ListOperations(grpc::CallbackServerContext* context,
                                           const care::v1::ListOperationsRequest* request,
                                           care::v1::ListOperationsResponse* response) override;
  grpc::ServerUnaryReactor* Explain(grpc::CallbackServerContext* context,
                                    const care::v1::ExplainRequest* request,
                                    care::v1::ExplainResponse* response) override;
  grpc::ServerUnaryReactor* UpgradeShim(grpc::CallbackServerContext* context,
                                        const care::v1::UpgradeShimRequest* request,
                                        care::v1::UpgradeShimResponse* response) override;

 private:
  // On the executor.
  void BeginExplain(const CallInfo& call, const std::string& text,
                    Done<care::v1::ExplainResponse> done);
  void BeginUpgrade(const CallInfo& call, const care::v1::UpgradeShimRequest& request,
                    Done<care::v1::UpgradeShimResponse> done);

  const Parts parts_;
  ShimPrograms programs_;
};

}  // namespace berth

#endif  // BERTH_SERVER_API_CARE_SERVICE_H_
