// What a handler may know about the call it serves: namespace, lease, deadline, and whether the
// client still waits.
//
// Copies share one cancellation state, which outlives the gRPC call, so that a copy may be kept by
// whoever waits. A deadline that passes shows as cancelled(). Fields are immutable, methods
// thread-safe. Made by the helpers of this folder.
#ifndef BERTH_BASE_GRPC_CALL_INFO_H_
#define BERTH_BASE_GRPC_CALL_INFO_H_

#include <grpcpp/server_context.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/os/mutex.h"

namespace berth {

// Set once when the client cancels, disconnects or its deadline passes. Thread-safe.
class CallCancellation {
 public:
  bool cancelled() const;
  void AddCallback(absl::AnyInvocable<void()> callback);
  void Cancel();
  // Drops the callbacks: the call has its answer, and nobody needs to be told any more.
  void Close();

 private:
  mutable Mutex mutex_;
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<absl::AnyInvocable<void()>> callbacks_ ABSL_GUARDED_BY(mutex_);
};

struct CallInfo {
  std::string ns;     // header containerd-namespace; empty when absent
  std::string lease;  // header containerd-lease; empty when absent
  absl::Time deadline = absl::InfiniteFuture();
  std::shared_ptr<CallCancellation> cancellation = std::make_shared<CallCancellation>();

  bool cancelled() const { return cancellation->cancelled(); }
  // Runs `callback` once when the client goes away before the answer, on a gRPC thread (it must not
  // block), or at once if it already has. Never after the answer.
  void OnCancel(absl::AnyInvocable<void()> callback) const {
    cancellation->AddCallback(std::move(callback));
  }
  // Errors: FAILED_PRECONDITION without a namespace, INVALID_ARGUMENT for one that is no
  // identifier (it becomes a directory name).
  absl::Status RequireNamespace() const;
};

// Reads the headers of `context`.
CallInfo ReadCallInfo(const grpc::ServerContextBase& context);

}  // namespace berth

#endif  // BERTH_BASE_GRPC_CALL_INFO_H_
