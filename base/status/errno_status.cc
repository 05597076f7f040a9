#include "base/status/errno_status.h"

#include <cerrno>
#include <cstring>
#include <string>

#include "absl/strings/cord.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace berth {
namespace {

constexpr char kErrnoPayload[] = "berth/errno";

absl::StatusCode CodeOf(int error_number) {
  switch (error_number) {
    case ESRCH:
      return absl::StatusCode::kNotFound;
    case EDQUOT:
    case ENOSPC:
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case EAGAIN:
      return absl::StatusCode::kResourceExhausted;
    case ENOSYS:
    case EOPNOTSUPP:
      return absl::StatusCode::kUnimplemented;
    case EPERM:
    case EACCES:
    case EROFS:
      return absl::StatusCode::kPermissionDenied;
    case ECONNREFUSED:
    case ECONNRESET:
    case EPIPE:
    case ENOTCONN:
      return absl::StatusCode::kUnavailable;
    default:
      return absl::ErrnoToStatusCode(error_number);
  }
}

}  // namespace

std::string ErrnoName(int error_number) {
  const char* name = ::strerrorname_np(error_number);
  return name != nullptr ? std::string(name) : absl::StrCat("errno ", error_number);
}

absl::Status ErrnoStatus(int error_number, absl::string_view what, absl::string_view object) {
  const char* description = ::strerrordesc_np(error_number);
  absl::Status status(
      CodeOf(error_number),
      absl::StrCat(what, object.empty() ? "" : " \"", object, object.empty() ? "" : "\"", ": ",
                   description != nullptr ? description : "unknown error", " (",
                   ErrnoName(error_number), ")"));
  status.SetPayload(kErrnoPayload, absl::Cord(absl::StrCat(error_number)));
  return status;
}

int ErrnoOf(const absl::Status& status) {
  const auto payload = status.GetPayload(kErrnoPayload);
  int error_number = 0;
  if (!payload.has_value() || !absl::SimpleAtoi(std::string(*payload), &error_number)) return 0;
  return error_number;
}

}  // namespace berth
