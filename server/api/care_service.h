// berth.care.v1.Care over gRPC: fsck, and the list of calls that have no answer yet. Thread-safe;
// owned by server/main.
#ifndef BERTH_SERVER_API_CARE_SERVICE_H_
#define BERTH_SERVER_API_CARE_SERVICE_H_

#include <memory>
#include <string>

#include "base/grpc/executor.h"
#include "proto/berth/care/v1/care.grpc.pb.h"
#include "server/api/operations.h"

namespace berth {

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
  };
  explicit CareService(Parts parts);
  ~CareService() override;

  grpc::ServerWriteReactor<care::v1::CheckReport>* Check(
      grpc::CallbackServerContext* context, const care::v1::CheckRequest* request) override;
  grpc::ServerUnaryReactor* ListOperations(grpc::CallbackServerContext* context,
                                           const care::v1::ListOperationsRequest* request,
                                           care::v1::ListOperationsResponse* response) override;

 private:
  const Parts parts_;
};

}  // namespace berth

#endif  // BERTH_SERVER_API_CARE_SERVICE_H_
