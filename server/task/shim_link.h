// The daemon's ttrpc connection to one shim: made when first needed, and again after a loss.
//
// Invariant: every call's `done` runs exactly once, from the loop and never from inside the call.
// A call that cannot reach the shim ends with UNAVAILABLE; what the shim itself answers keeps its
// code and words. Connecting never blocks: a unix socket whose backlog is full refuses at once.
// Loop-only. Owned by a Task.
#ifndef BERTH_SERVER_TASK_SHIM_LINK_H_
#define BERTH_SERVER_TASK_SHIM_LINK_H_

#include <memory>
#include <string>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/loop/loop.h"
#include "base/os/unique_fd.h"
#include "base/ttrpc/client.h"
#include "google/protobuf/message_lite.h"

namespace berth {

// What a shim answers to: both versions have the same messages.
enum class ShimApi { kV2, kV3 };

class ShimLink {
 public:
  // `on_disconnected` runs after each loss of the connection, when the calls that were pending have
  // failed.
  ShimLink(Loop& loop, std::string ns, std::string socket_path, ShimApi api,
           absl::AnyInvocable<void()> on_disconnected);
  ~ShimLink();

  const std::string& socket_path() const { return socket_path_; }

  // Calls containerd.task.<version>.Task/`method`.
  template <typename Response>
  void Call(absl::string_view method, const google::protobuf::MessageLite& request,
            absl::Duration timeout, absl::AnyInvocable<void(absl::StatusOr<Response>)> done) {
    CallService<Response>(service_, method, request, timeout, std::move(done));
  }
  // Calls `service`/`method`.
  template <typename Response>
  void CallService(absl::string_view service, absl::string_view method,
                   const google::protobuf::MessageLite& request, absl::Duration timeout,
                   absl::AnyInvocable<void(absl::StatusOr<Response>)> done) {
    CallRaw(service, method, request.SerializeAsString(), timeout,
            [method = std::string(method),
             done = std::move(done)](absl::StatusOr<std::string> payload) mutable {
              if (!payload.ok()) return done(std::move(payload).status());
              Response response;
              if (!response.ParseFromString(*payload)) {
                return done(absl::InternalError(
                    absl::StrCat("the shim's answer to ", method, " does not decode")));
              }
              done(std::move(response));
            });
  }
  // Takes an already connected socket, which saves the first call a connect.
  void Adopt(UniqueFd socket);
  // Drops the connection; pending calls fail with CANCELLED from inside this call.
  void Close();

 private:
  void CallRaw(absl::string_view service, absl::string_view method, std::string payload,
               absl::Duration timeout, ttrpc::Client::Done done);
  absl::Status EnsureConnected();

  Loop& loop_;
  const std::string ns_;
  const std::string socket_path_;
  const std::string service_;
  absl::AnyInvocable<void()> on_disconnected_;
  std::unique_ptr<ttrpc::Client> client_;
};

}  // namespace berth

#endif  // BERTH_SERVER_TASK_SHIM_LINK_H_
