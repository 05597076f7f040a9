// From a call's headers to the Caller that stores take. Thread-safe functions.
#ifndef BERTH_SERVER_API_CALLER_OF_H_
#define BERTH_SERVER_API_CALLER_OF_H_

#include <utility>

#include "absl/status/statusor.h"
#include "base/grpc/call_info.h"
#include "base/status/status_macros.h"
#include "server/metadata/caller.h"

namespace berth {

// Errors: those of CallInfo::RequireNamespace.
inline absl::StatusOr<metadata::Caller> CallerOf(const CallInfo& call) {
  BERTH_RETURN_IF_ERROR(call.RequireNamespace());
  return metadata::Caller{call.ns, call.lease};
}

// Makes a handler of (CallInfo, Request) from a function of (CallInfo, Caller, Request).
template <typename Function>
auto WithCaller(Function function) {
  return [function = std::move(function)](
             const CallInfo& call,
             const auto& request) -> decltype(function(call, metadata::Caller(), request)) {
    BERTH_ASSIGN_OR_RETURN(const metadata::Caller caller, CallerOf(call));
    return function(call, caller, request);
  };
}

}  // namespace berth

#endif  // BERTH_SERVER_API_CALLER_OF_H_
