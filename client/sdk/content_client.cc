#include "client/sdk/content_client.h"

#include "absl/strings/str_cat.h"
#include "base/digest/hasher.h"
#include "base/status/status_macros.h"
#include "client/sdk/random_id.h"
#include "client/sdk/stubs.h"
#include "client/sdk/unary.h"

namespace berth::client {
namespace {

namespace api = containerd::services::content::v1;

class GrpcBlobWriter final : public BlobWriter {
 public:
  explicit GrpcBlobWriter(Connection connection) : connection_(std::move(connection)) {}

  ~GrpcBlobWriter() override {
    if (stream_ == nullptr || finished_) return;
    context_.TryCancel();
    stream_->Finish();
  }

  absl::Status Open(const UploadOptions& options) {
    connection_.Prepare(context_, absl::InfiniteDuration());
    ref_ = options.ref;
    total_bytes_ = options.total_bytes;
    stream_ = connection_.stubs().content->Write(&context_);
    api::WriteContentRequest request;
    request.set_action(api::STAT);
    request.set_ref(ref_);
    request.set_total(options.total_bytes);
    request.set_expected(options.expected_digest);
    BERTH_ASSIGN_OR_RETURN(const api::WriteContentResponse response, RoundTrip(request));
    offset_ = response.offset();
    return absl::OkStatus();
  }

  int64_t offset() const override { return offset_; }

  absl::Status Write(absl::string_view data) override {
    while (!data.empty()) {
      const absl::string_view piece = data.substr(0, kPieceBytes);
      data.remove_prefix(piece.size());
      api::WriteContentRequest request;
      request.set_action(api::WRITE);
      request.set_ref(ref_);
      request.set_offset(offset_);
      request.set_data(piece.data(), piece.size());
      BERTH_ASSIGN_OR_RETURN(const api::WriteContentResponse response, RoundTrip(request));
      offset_ += static_cast<int64_t>(piece.size());
      if (response.offset() != offset_) {
        return absl::DataLossError(absl::StrCat("the store holds ", response.offset(),
                                                " bytes of the upload, ", offset_, " were sent"));
      }
    }
    return absl::OkStatus();
  }

  absl::Status Commit(absl::string_view expected_digest, const LabelMap& labels) override {
    api::WriteContentRequest request;
    request.set_action(api::COMMIT);
    request.set_ref(ref_);
    request.set_offset(offset_);
    request.set_total(offset_);
    request.set_expected(std::string(expected_digest));
    request.mutable_labels()->insert(labels.begin(), labels.end());
    BERTH_RETURN_IF_ERROR(RoundTrip(request));
    stream_->WritesDone();
    api::WriteContentResponse rest;
    while (stream_->Read(&rest)) {
    }
    finished_ = true;
    return connection_.ToStatus(stream_->Finish());
  }

 private:
  static constexpr size_t kPieceBytes = 1 << 20;

  absl::StatusOr<api::WriteContentResponse> RoundTrip(const api::WriteContentRequest& request) {
    api::WriteContentResponse response;
    if (stream_->Write(request) && stream_->Read(&response)) return response;
    finished_ = true;
    const grpc::Status status = stream_->Finish();
    if (!status.ok()) return connection_.ToStatus(status);
    return absl::InternalError("the server ended the upload without an answer");
  }

  const Connection connection_;
  std::string ref_;
  int64_t total_bytes_ = 0;
  int64_t offset_ = 0;
  bool finished_ = false;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<api::WriteContentRequest, api::WriteContentResponse>>
      stream_;
};

}  // namespace

absl::StatusOr<BlobInfo> ContentClient::Info(absl::string_view digest) const {
  api::InfoRequest request;
  request.set_digest(std::string(digest));
  BERTH_ASSIGN_OR_RETURN(
      api::InfoResponse response,
      Unary(connection_, *connection_.stubs().content, &api::Content::Stub::Info, request));
  return std::move(*response.mutable_info());
}

absl::StatusOr<std::vector<BlobInfo>> ContentClient::List(
    const std::vector<std::string>& filters) const {
  api::ListContentRequest request;
  for (const std::string& filter : filters) request.add_filters(filter);
  grpc::ClientContext context;
  connection_.Prepare(context, kCallTimeout);
  auto reader = connection_.stubs().content->List(&context, request);
  std::vector<BlobInfo> result;
  api::ListContentResponse page;
  while (reader->Read(&page)) {
    for (const BlobInfo& info : page.info()) result.push_back(info);
  }
  BERTH_RETURN_IF_ERROR(connection_.ToStatus(reader->Finish()));
  return result;
}

absl::StatusOr<std::vector<UploadStatus>> ContentClient::ListUploads() const {
  BERTH_ASSIGN_OR_RETURN(const api::ListStatusesResponse response,
                         Unary(connection_, *connection_.stubs().content,
                               &api::Content::Stub::ListStatuses, api::ListStatusesRequest()));
  return std::vector<UploadStatus>(response.statuses().begin(), response.statuses().end());
}

absl::Status ContentClient::Delete(absl::string_view digest) const {
  api::DeleteContentRequest request;
  request.set_digest(std::string(digest));
  return Unary(connection_, *connection_.stubs().content, &api::Content::Stub::Delete, request)
      .status();
}

absl::Status ContentClient::Abort(absl::string_view ref) const {
  api::AbortRequest request;
  request.set_ref(std::string(ref));
  return Unary(connection_, *connection_.stubs().content, &api::Content::Stub::Abort, request)
      .status();
}

absl::Status ContentClient::SetLabels(absl::string_view digest, const LabelMap& labels) const {
  if (labels.empty()) return absl::OkStatus();
  api::UpdateRequest request;
  request.mutable_info()->set_digest(std::string(digest));
  for (const auto& [key, value] : labels) {
    (*request.mutable_info()->mutable_labels())[key] = value;
    request.mutable_update_mask()->add_paths(absl::StrCat("labels.", key));
  }
  return Unary(connection_, *connection_.stubs().content, &api::Content::Stub::Update, request)
      .status();
}

absl::StatusOr<std::string> ContentClient::ReadAll(absl::string_view digest,
                                                   int64_t limit_bytes) const {
  std::string result;
  BERTH_RETURN_IF_ERROR(Read(digest, [&](absl::string_view piece) -> absl::Status {
    if (static_cast<int64_t>(result.size() + piece.size()) > limit_bytes) {
      return absl::ResourceExhaustedError(
          absl::StrCat("blob ", digest, " is larger than ", limit_bytes, " bytes"));
    }
    absl::StrAppend(&result, piece);
    return absl::OkStatus();
  }));
  return result;
}

absl::Status ContentClient::Read(absl::string_view digest,
                                 const std::function<absl::Status(absl::string_view)>& sink) const {
  api::ReadContentRequest request;
  request.set_digest(std::string(digest));
  grpc::ClientContext context;
  connection_.Prepare(context, absl::InfiniteDuration());
  auto reader = connection_.stubs().content->Read(&context, request);
  api::ReadContentResponse piece;
  absl::Status sunk;
  while (sunk.ok() && reader->Read(&piece)) sunk = sink(piece.data());
  if (!sunk.ok()) {
    context.TryCancel();
    reader->Finish();
    return sunk;
  }
  return Annotate(connection_.ToStatus(reader->Finish()), absl::StrCat("read blob ", digest));
}

absl::StatusOr<std::unique_ptr<BlobWriter>> ContentClient::OpenWriter(
    const UploadOptions& options) const {
  auto writer = std::make_unique<GrpcBlobWriter>(connection_);
  BERTH_RETURN_IF_ERROR(writer->Open(options));
  return writer;
}

absl::StatusOr<std::string> ContentClient::WriteBlob(absl::string_view data,
                                                     const LabelMap& labels) const {
  const std::string digest = HashString(data).text();
  auto writer = OpenWriter({.ref = absl::StrCat("blob-", RandomId()),
                            .total_bytes = static_cast<int64_t>(data.size()),
                            .expected_digest = digest});
  absl::Status status = writer.status();
  if (status.ok()) status = (*writer)->Write(data);
  if (status.ok()) status = (*writer)->Commit(digest, labels);
  if (absl::IsAlreadyExists(status)) status = SetLabels(digest, labels);
  BERTH_RETURN_IF_ERROR(status) << "write blob " << digest;
  return digest;
}

}  // namespace berth::client
