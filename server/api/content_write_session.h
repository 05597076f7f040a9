// One Content.Write stream: the rules of its requests over an IngestWriter.
//
// The first request names the ref and thereby takes its lock, which the session holds to its end.
// A request that names an expected digest which the namespace already has gives the upload up.
// Offset 0 on an upload with bytes throws them away, any other offset must be where the upload
// stands. After COMMIT the stream ends. Thread-compatible; owned by the stream's reactor.
#ifndef BERTH_SERVER_API_CONTENT_WRITE_SESSION_H_
#define BERTH_SERVER_API_CONTENT_WRITE_SESSION_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/grpc/bidi.h"
#include "base/grpc/call_info.h"
#include "proto/containerd/services/content/v1/content.pb.h"
#include "server/content/content_store.h"
#include "server/content/ingest_writer.h"
#include "server/metadata/caller.h"

namespace berth {

class ContentWriteSession final
    : public BidiSession<containerd::services::content::v1::WriteContentRequest,
                         containerd::services::content::v1::WriteContentResponse> {
 public:
  using Request = containerd::services::content::v1::WriteContentRequest;
  using Response = containerd::services::content::v1::WriteContentResponse;

  ContentWriteSession(content::ContentStore& store, CallInfo call)
      : store_(store), call_(std::move(call)) {}

  absl::StatusOr<BidiNext> Handle(const Request& request, Response& response) override;

 private:
  absl::Status Open(const Request& request);
  // Errors: ALREADY_EXISTS when the namespace has `digest`; the upload is gone then.
  absl::Status GiveUpIfKnown(const std::string& digest);
  absl::Status MoveTo(int64_t offset);

  content::ContentStore& store_;
  const CallInfo call_;
  metadata::Caller caller_;
  std::unique_ptr<content::IngestWriter> writer_;
  int64_t total_ = 0;
  std::string expected_;
};

}  // namespace berth

#endif  // BERTH_SERVER_API_CONTENT_WRITE_SESSION_H_
