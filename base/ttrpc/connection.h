// One ttrpc connection's bytes: reads frames from a socket, writes frames to it.
//
// Invariant: never blocks; what the peer does not read is queued up to kMaxQueuedBytes, and while
// more than kPauseReadingBytes wait nothing is read, so a peer that does not read cannot make us
// collect work. Loop-only. Owned by a Client or a Server, which may destroy it from inside either
// callback.
#ifndef BERTH_BASE_TTRPC_CONNECTION_H_
#define BERTH_BASE_TTRPC_CONNECTION_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/loop/loop.h"
#include "base/os/unique_fd.h"
#include "base/ttrpc/frame.h"

namespace berth::ttrpc {

inline constexpr size_t kMaxQueuedBytes = 16u << 20;
inline constexpr size_t kPauseReadingBytes = 1u << 20;

class Connection {
 public:
  // `data` is valid during the call and empty for an oversized frame.
  using OnFrame = absl::AnyInvocable<void(const FrameHeader& header, absl::string_view data)>;
  // Called once, when the peer has gone or broken the protocol; never for our own Close.
  using OnLost = absl::AnyInvocable<void(const absl::Status& reason)>;

  // Takes a connected stream socket and makes it non-blocking.
  static absl::StatusOr<std::unique_ptr<Connection>> Create(Loop& loop, UniqueFd socket,
                                                            OnFrame on_frame, OnLost on_lost);
  ~Connection();

  // What is between the peer's bytes and ours: with the socket, all that a successor needs.
  struct State {
    std::string partial_input = "";
    uint64_t input_bytes_to_discard = 0;
    std::string output = "";  // that the peer has not taken
  };
  State Save() const;
  BorrowedFd socket() const { return socket_; }
  // A connection that another one, in an earlier program of this process, began.
  static absl::StatusOr<std::unique_ptr<Connection>> Resume(Loop& loop, UniqueFd socket,
                                                            State state, OnFrame on_frame,
                                                            OnLost on_lost);
  // While kNo nothing is read: what the peer sends waits in the socket.
  enum class Reading { kYes, kNo };
  void SetReading(Reading reading);
  bool broken() const { return broken_; }
  const FdWatch& watch() const { return watch_; }

  // Queues a frame and writes what the socket takes now. Errors: RESOURCE_EXHAUSTED for a message
  // above the limit or a full queue; UNAVAILABLE once the connection is lost (on_lost then follows
  // from the loop, not from inside this call).
  absl::Status Send(uint32_t stream_id, FrameType type, absl::string_view data);
  // Gives the connection up; on_lost follows from the loop.
  void Abort();
  size_t queued_bytes() const { return queued_bytes_; }

 private:
  Connection(Loop& loop, UniqueFd socket, OnFrame on_frame, OnLost on_lost);
  void OnEvents(uint32_t epoll_events);
  void Read();
  absl::Status Flush();
  void UpdateInterest();
  void Lose(const absl::Status& reason);

  Loop& loop_;
  const UniqueFd socket_;
  OnFrame on_frame_;
  OnLost on_lost_;
  FdWatch watch_;  // after socket_: it goes first
  FrameReader reader_;
  std::deque<std::string> output_;
  size_t first_written_bytes_ = 0;  // of output_.front()
  size_t queued_bytes_ = 0;
  Reading reading_ = Reading::kYes;
  bool broken_ = false;        // the socket is shut down; its hang-up event tells on_lost
  bool* destroyed_ = nullptr;  // set while a callback runs
};

}  // namespace berth::ttrpc

#endif  // BERTH_BASE_TTRPC_CONNECTION_H_
