#include "server/content/lost_bytes.h"

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"

namespace berth::content {
namespace {

constexpr char kMark[] = "berth/lost-bytes";

}  // namespace

absl::Status LostBytes(absl::string_view digest) {
  absl::Status status = absl::NotFoundError(
      absl::StrCat("content digest ", digest,
                   ": not found: its bytes are missing from the disk; pull or import the image "
                   "again"));
  status.SetPayload(kMark, absl::Cord());
  return status;
}

bool IsLostBytes(const absl::Status& status) { return status.GetPayload(kMark).has_value(); }

}  // namespace berth::content
