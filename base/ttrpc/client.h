// The calling side of one ttrpc connection, by completions.
//
// Invariant: each call's `done` runs exactly once, from the loop and never from inside Call: with
// the answer, with DEADLINE_EXCEEDED at its timeout, or with UNAVAILABLE when the connection is
// lost. Destroying the client (allowed from inside a callback) drops the `done`s that are pending:
// Close first where somebody waits for them. Loop-only. At most kMaxPendingCalls wait at a time.
#ifndef BERTH_BASE_TTRPC_CLIENT_H_
#define BERTH_BASE_TTRPC_CLIENT_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/loop/loop.h"
#include "base/os/unique_fd.h"
#include "base/ttrpc/connection.h"
#include "base/ttrpc/envelope.h"

namespace berth::ttrpc {

inline constexpr size_t kMaxPendingCalls = 65536;

class Client {
 public:
  using Done = absl::AnyInvocable<void(absl::StatusOr<std::string> payload)>;
  using OnClosed = absl::AnyInvocable<void(const absl::Status& reason)>;

  // Takes a connected stream socket. `on_closed` runs once, after the pending calls have failed,
  // when the connection is lost; not after Close.
  Client(Loop& loop, UniqueFd socket, OnClosed on_closed);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // `timeout` also travels to the peer; InfiniteDuration is allowed.
  void Call(absl::string_view service, absl::string_view method, std::string payload,
            Metadata metadata, absl::Duration timeout, Done done);
  // Closes the connection and fails what is pending with CANCELLED (from inside this call).
  void Close();
  bool connected() const { return connection_ != nullptr; }
  size_t pending_calls() const { return pending_.size(); }

 private:
  struct Pending {
    Done done;
    TimerId timer = TimerId::kNone;
  };
  using PendingMap = absl::flat_hash_map<uint32_t, Pending>;

  void OnFrame(const FrameHeader& header, absl::string_view data);
  void OnLost(const absl::Status& reason);
  void Finish(uint32_t stream_id, absl::StatusOr<std::string> result);
  void FinishFromLoop(uint32_t stream_id, absl::Status error);
  void FailAll(const absl::Status& reason);

  Loop& loop_;
  OnClosed on_closed_;
  std::unique_ptr<Connection> connection_;
  uint32_t next_stream_id_ = 1;  // a client's are odd
  PendingMap pending_;
};

}  // namespace berth::ttrpc

#endif  // BERTH_BASE_TTRPC_CLIENT_H_
