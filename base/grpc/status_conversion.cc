#include "base/grpc/status_conversion.h"

#include <string>

namespace berth {
namespace {

template <grpc::StatusCode G, absl::StatusCode A>
constexpr bool kSame = static_cast<int>(G) == static_cast<int>(A);

static_assert(kSame<grpc::StatusCode::OK, absl::StatusCode::kOk>);
static_assert(kSame<grpc::StatusCode::CANCELLED, absl::StatusCode::kCancelled>);
static_assert(kSame<grpc::StatusCode::UNKNOWN, absl::StatusCode::kUnknown>);
static_assert(kSame<grpc::StatusCode::INVALID_ARGUMENT, absl::StatusCode::kInvalidArgument>);
static_assert(kSame<grpc::StatusCode::DEADLINE_EXCEEDED, absl::StatusCode::kDeadlineExceeded>);
static_assert(kSame<grpc::StatusCode::NOT_FOUND, absl::StatusCode::kNotFound>);
static_assert(kSame<grpc::StatusCode::ALREADY_EXISTS, absl::StatusCode::kAlreadyExists>);
static_assert(kSame<grpc::StatusCode::PERMISSION_DENIED, absl::StatusCode::kPermissionDenied>);
static_assert(kSame<grpc::StatusCode::RESOURCE_EXHAUSTED, absl::StatusCode::kResourceExhausted>);
static_assert(kSame<grpc::StatusCode::FAILED_PRECONDITION, absl::StatusCode::kFailedPrecondition>);
static_assert(kSame<grpc::StatusCode::ABORTED, absl::StatusCode::kAborted>);
static_assert(kSame<grpc::StatusCode::OUT_OF_RANGE, absl::StatusCode::kOutOfRange>);
static_assert(kSame<grpc::StatusCode::UNIMPLEMENTED, absl::StatusCode::kUnimplemented>);
static_assert(kSame<grpc::StatusCode::INTERNAL, absl::StatusCode::kInternal>);
static_assert(kSame<grpc::StatusCode::UNAVAILABLE, absl::StatusCode::kUnavailable>);
static_assert(kSame<grpc::StatusCode::DATA_LOSS, absl::StatusCode::kDataLoss>);
static_assert(kSame<grpc::StatusCode::UNAUTHENTICATED, absl::StatusCode::kUnauthenticated>);

}  // namespace

grpc::Status ToGrpc(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  std::string message(status.message().substr(0, kMaxStatusMessageBytes));
  if (message.size() < status.message().size()) {
    // Never in the middle of a UTF-8 sequence: Go clients refuse such text.
    while (!message.empty() && (message.back() & 0xC0) == 0x80) message.pop_back();
    if (!message.empty() && (message.back() & 0x80) != 0) message.pop_back();
    message += "...";
  }
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()), message);
}

absl::Status FromGrpc(const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  return absl::Status(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
}

}  // namespace berth
