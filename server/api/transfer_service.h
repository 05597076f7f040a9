// containerd.services.transfer.v1.Transfer: images between registries, archives and the store.
//
//   OCIRegistry -> ImageStore        pull          ImageStore -> OCIRegistry       push
//   ImageImportStream -> ImageStore  import        ImageStore -> ImageExportStream export
//   ImageStore -> ImageStore         tag
//
// Progress goes to the stream that the request names, until the transfer ends. No thread waits for
// a transfer; one whose client goes away is stopped. Thread-safe; owned by server/main.
#ifndef BERTH_SERVER_API_TRANSFER_SERVICE_H_
#define BERTH_SERVER_API_TRANSFER_SERVICE_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "base/grpc/call_info.h"
#include "base/grpc/executor.h"
#include "base/grpc/unary.h"
#include "proto/containerd/services/transfer/v1/transfer.grpc.pb.h"
#include "server/image/image_catalog.h"
#include "server/image/image_exporter.h"
#include "server/image/image_importer.h"
#include "server/image/image_puller.h"
#include "server/image/message_stream.h"
#include "server/metadata/namespace_store.h"

namespace berth {

class TransferService final : public containerd::services::transfer::v1::Transfer::CallbackService {
 public:
  using Request = containerd::services::transfer::v1::TransferRequest;
  using Empty = google::protobuf::Empty;

  struct Parts {
    image::ImageCatalog& catalog;
    image::ImageImporter& importer;
    image::ImageExporter& exporter;
    image::ImagePuller& puller;
    image::StreamTable& streams;
    metadata::NamespaceStore& namespaces;
    Executor& executor;
  };
  explicit TransferService(const Parts& parts) : parts_(parts) {}

  grpc::ServerUnaryReactor* Transfer(grpc::CallbackServerContext* context, const Request* request,
                                     Empty* response) override;

 private:
  struct Call;
  using CallPtr = std::shared_ptr<Call>;

  void Begin(CallPtr call);
  // Each answers the call, unless it returns an error.
  absl::Status Dispatch(const CallPtr& call);
  absl::Status Pull(const CallPtr& call);
  absl::Status Push(const CallPtr& call);
  absl::Status Import(const CallPtr& call);
  absl::Status Export(const CallPtr& call);
  absl::Status Tag(const CallPtr& call);

  const Parts parts_;
};

}  // namespace berth

#endif  // BERTH_SERVER_API_TRANSFER_SERVICE_H_
