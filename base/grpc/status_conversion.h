// absl::Status to and from grpc::Status. The only place where the two meet.
//
// Invariant: codes are carried by number (the two enumerations agree, asserted below). Thread-safe
// functions.
#ifndef BERTH_BASE_GRPC_STATUS_CONVERSION_H_
#define BERTH_BASE_GRPC_STATUS_CONVERSION_H_

#include <grpcpp/support/status.h>

#include <exception>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace berth {

// The message travels in an HTTP/2 trailer whose size the peer limits (8 KiB by default), so that a
// longer one is cut.
inline constexpr size_t kMaxStatusMessageBytes = 4096;

grpc::Status ToGrpc(const absl::Status& status);
absl::Status FromGrpc(const grpc::Status& status);

namespace grpc_internal {

// Runs `function` and turns whatever it throws into INTERNAL. Ours throws nothing, but libraries
// below (the allocator first) may, and gRPC's threads must not see it.
template <typename Result, typename Function>
Result Guarded(Function&& function) {
  try {
    return function();
  } catch (const std::exception& error) {
    return absl::InternalError(absl::StrCat("the handler failed: ", error.what()));
  } catch (...) {
    return absl::InternalError("the handler failed with an unknown exception");
  }
}

}  // namespace grpc_internal
}  // namespace berth

#endif  // BERTH_BASE_GRPC_STATUS_CONVERSION_H_
