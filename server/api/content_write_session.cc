#include "server/api/content_write_session.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status/status_macros.h"
#include "server/api/caller_of.h"
#include "server/metadata/record.h"

namespace berth {

using containerd::services::content::v1::WriteAction;

absl::StatusOr<BidiNext> ContentWriteSession::Handle(const Request& request, Response& response) {
  if (writer_ == nullptr) {
    BERTH_RETURN_IF_ERROR(Open(request));
  } else if (!request.expected().empty()) {
    BERTH_RETURN_IF_ERROR(GiveUpIfKnown(request.expected()));
  }
  if (!request.expected().empty()) expected_ = request.expected();
  if (request.total() > 0) total_ = request.total();

  response.set_action(request.action());
  BidiNext next = BidiNext::kRead;
  switch (request.action()) {
    case WriteAction::STAT:
      break;
    case WriteAction::WRITE:
    case WriteAction::COMMIT:
      BERTH_RETURN_IF_ERROR(MoveTo(request.offset()));
      BERTH_RETURN_IF_ERROR(writer_->Write(request.data()));
      if (request.action() == WriteAction::COMMIT) {
        BERTH_RETURN_IF_ERROR(writer_->Commit(total_, expected_, request.labels()).status());
        next = BidiNext::kFinish;
      }
      break;
    default:
      return absl::InvalidArgumentError(
          absl::StrCat("write action ", static_cast<int>(request.action()), " is unknown"));
  }
  response.set_offset(static_cast<int64_t>(writer_->offset()));
  response.set_digest(writer_->CurrentDigest());
  response.set_total(total_);
  *response.mutable_started_at() = metadata::ToTimestamp(writer_->started_at());
  *response.mutable_updated_at() = metadata::ToTimestamp(writer_->updated_at());
  return next;
}

absl::Status ContentWriteSession::Open(const Request& request) {
  BERTH_ASSIGN_OR_RETURN(caller_, CallerOf(call_));
  BERTH_ASSIGN_OR_RETURN(
      writer_, store_.OpenWriter(caller_, {request.ref(), request.total(), request.expected()}));
  return absl::OkStatus();
}

absl::Status ContentWriteSession::GiveUpIfKnown(const std::string& digest) {
  const absl::Status known = store_.GetInfo(caller_, digest).status();
  if (absl::IsNotFound(known)) return absl::OkStatus();
  BERTH_RETURN_IF_ERROR(known);
  const std::string ref = writer_->ref();
  writer_.reset();
  // Somebody else may have aborted it already; the answer is the same.
  (void)store_.Abort(caller_, ref);
  return absl::AlreadyExistsError(
      absl::StrCat("blob with expected digest ", digest, " exists: already exists"));
}

absl::Status ContentWriteSession::MoveTo(int64_t offset) {
  const uint64_t current = writer_->offset();
  if (offset == 0) return current > 0 ? writer_->Truncate() : absl::OkStatus();
  if (static_cast<uint64_t>(offset) == current) return absl::OkStatus();
  return absl::OutOfRangeError(
      absl::StrCat("write @", offset, " must occur at current offset ", current));
}

}  // namespace berth
