// The Content service, typed: blobs by digest, and uploads. Thread-safe; a BlobWriter is
// thread-compatible and owned by the one who uploads.
#ifndef BERTH_CLIENT_SDK_CONTENT_CLIENT_H_
#define BERTH_CLIENT_SDK_CONTENT_CLIENT_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "client/sdk/connection.h"
#include "proto/containerd/services/content/v1/content.pb.h"

namespace berth::client {

using BlobInfo = containerd::services::content::v1::Info;
using UploadStatus = containerd::services::content::v1::Status;
using LabelMap = std::map<std::string, std::string>;

struct UploadOptions {
  std::string ref;              // names the upload until it is committed
  int64_t total_bytes = 0;      // 0: not known
  std::string expected_digest;  // empty: not known
};

// One open upload. Dropping it leaves what was written under its ref, to be resumed or aborted.
class BlobWriter {
 public:
  virtual ~BlobWriter() = default;
  // Where the next byte goes: more than 0 when an earlier upload under this ref is resumed.
  virtual int64_t offset() const = 0;
  virtual absl::Status Write(absl::string_view data) = 0;
  // Errors: ALREADY_EXISTS when the store has the blob, which is no loss: it is then kept as it is,
  // and `labels` are not applied.
  virtual absl::Status Commit(absl::string_view expected_digest, const LabelMap& labels) = 0;
};

class ContentClient {
 public:
  explicit ContentClient(Connection connection) : connection_(std::move(connection)) {}

  absl::StatusOr<BlobInfo> Info(absl::string_view digest) const;
  absl::StatusOr<std::vector<BlobInfo>> List(const std::vector<std::string>& filters) const;
  absl::StatusOr<std::vector<UploadStatus>> ListUploads() const;
  absl::Status Delete(absl::string_view digest) const;
  absl::Status Abort(absl::string_view ref) const;
  absl::Status SetLabels(absl::string_view digest, const LabelMap& labels) const;

  // The whole blob. Errors: RESOURCE_EXHAUSTED beyond `limit_bytes` (it is meant for manifests).
  absl::StatusOr<std::string> ReadAll(absl::string_view digest, int64_t limit_bytes) const;
  // Gives the blob to `sink` piece by piece; stops at its first error.
  absl::Status Read(absl::string_view digest,
                    const std::function<absl::Status(absl::string_view)>& sink) const;

  // Errors: ALREADY_EXISTS when the store has `expected_digest`; it then joins the caller's lease.
  absl::StatusOr<std::unique_ptr<BlobWriter>> OpenWriter(const UploadOptions& options) const;
  // A small blob in one call; having it already is no error. Answers its digest.
  absl::StatusOr<std::string> WriteBlob(absl::string_view data, const LabelMap& labels) const;

 private:
  Connection connection_;
};

}  // namespace berth::client

#endif  // BERTH_CLIENT_SDK_CONTENT_CLIENT_H_
