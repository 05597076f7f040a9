#include <cerrno>

#include "absl/status/statusor.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"
#include "gtest/gtest.h"

namespace berth {
namespace {

absl::StatusOr<int> Half(int value) {
  if (value % 2 != 0) return absl::InvalidArgumentError("odd");
  return value / 2;
}

absl::StatusOr<int> Quarter(int value) {
  BERTH_ASSIGN_OR_RETURN(const int half, Half(value), _ << "first half of " << value);
  BERTH_ASSIGN_OR_RETURN(const int quarter, Half(half));
  return quarter;
}

absl::Status Wrapped(absl::Status inner) {
  BERTH_RETURN_IF_ERROR(inner) << "outer " << 7;
  return absl::OkStatus();
}

TEST(StatusMacrosTest, ContextIsPutInFrontOfTheMessage) {
  EXPECT_EQ(Wrapped(absl::NotFoundError("gone")), absl::NotFoundError("outer 7: gone"));
  EXPECT_TRUE(Wrapped(absl::OkStatus()).ok());
}

TEST(StatusMacrosTest, AssignReturnsTheErrorAndKeepsTheValue) {
  EXPECT_EQ(*Quarter(8), 2);
  EXPECT_EQ(Quarter(7).status(), absl::InvalidArgumentError("first half of 7: odd"));
  EXPECT_EQ(Quarter(6).status(), absl::InvalidArgumentError("odd"));
}

TEST(ErrnoStatusTest, CarriesNumberCodeAndNames) {
  const absl::Status status = ErrnoStatus(ENOENT, "open", "/x");
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(status.message(), "open \"/x\": No such file or directory (ENOENT)");
  EXPECT_EQ(ErrnoOf(Annotate(status, "read the spec")), ENOENT);
  EXPECT_EQ(ErrnoOf(absl::OkStatus()), 0);
}

}  // namespace
}  // namespace berth
