// The answering side of ttrpc: methods by name, any number of listeners and connections.
//
// Invariant: each Call is answered exactly once; one that its handler drops is answered INTERNAL.
// A reply after the peer has gone is dropped. An unknown method is UNIMPLEMENTED. A connection with
// kMaxOpenCalls unanswered calls gets RESOURCE_EXHAUSTED for more; one that does not read its
// answers is closed. Loop-only. Outlives its calls.
#ifndef BERTH_BASE_TTRPC_SERVER_H_
#define BERTH_BASE_TTRPC_SERVER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/loop/loop.h"
#include "base/os/unique_fd.h"
#include "base/ttrpc/connection.h"
#include "base/ttrpc/envelope.h"

namespace berth::ttrpc {

inline constexpr size_t kMaxOpenCalls = 8192;
inline constexpr size_t kMaxConnections = 256;  // where the owner does not say otherwise

class Server;

// One request that waits for its answer. Move-only; Reply may come at any later time.
class Call {
 public:
  Call(Call&& other) noexcept;
  Call& operator=(Call&& other) noexcept;
  ~Call();

  const std::string& payload() const { return payload_; }
  const Metadata& metadata() const { return metadata_; }
  // When the caller gives up; InfiniteFuture where it does not.
  absl::Time deadline() const { return deadline_; }
  // The first value of `key`, empty where there is none.
  absl::string_view MetadataValue(absl::string_view key) const;
  // Answers. Requires: not answered yet.
  void Reply(absl::StatusOr<std::string> payload);

 private:
  friend class Server;
  Call(Server* server, uint64_t connection_id, uint32_t stream_id, Request request);
  Server* server_;  // null once answered or moved from
  uint64_t connection_id_;
  uint32_t stream_id_;
  std::string payload_;
  Metadata metadata_;
  absl::Time deadline_;
};

class Server {
 public:
  using Handler = absl::AnyInvocable<void(Call call)>;

  // At most `max_connections` are served at a time; more are closed when they come.
  explicit Server(Loop& loop, size_t max_connections = kMaxConnections)
      : loop_(loop), max_connections_(max_connections) {}
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // `service` is the full name, such as "containerd.task.v2.Task". A call of a kYes method may be
  // asked again by a successor, in the place of the first.
  enum class Repeatable { kNo, kYes };
  void Register(absl::string_view service, absl::string_view method, Handler handler,
                Repeatable repeatable = Repeatable::kNo);
  // Accepts on a listening stream socket, and goes on doing so. Errors: as epoll_ctl(2).
  absl::Status AddListener(UniqueFd socket);
  // Serves a connected stream socket.
  absl::Status AddConnection(UniqueFd socket);
  size_t connections() const { return peers_.size(); }
  // For a program that executes itself anew, and whose clients are not to notice. While kNo nothing
  // is accepted or read.
  void SetReading(Connection::Reading reading);
  struct SavedCall {
    uint32_t stream_id = 0;
    std::string method;  // "service/method"
    std::string payload;
  };
  struct SavedPeer {
    BorrowedFd socket = BorrowedFd(-1);
    Connection::State connection;
    std::vector<SavedCall> calls;  // of repeatable methods
    uint32_t own_stream_id = 0;    // of the call `own`, if it is this peer's
  };
  // Errors: UNAVAILABLE while other calls than `own` are open, each of which is named by none.
  absl::StatusOr<std::vector<SavedPeer>> Save(const Call& own) const;
  std::vector<BorrowedFd> listeners() const;
  // Calls `count` with each watch on the loop.
  void ForEachWatch(absl::FunctionRef<void(const FdWatch&)> count) const;
  // Serves a peer that another Server saved; `socket` is its own. The call `own`, if it is this
  // peer's, is put into `own`; the repeatable ones are asked again, from the loop.
  absl::Status Resume(UniqueFd socket, SavedPeer peer, std::optional<Call>& own);

  // Bytes of answers that peers have not taken yet. A process that is about to end waits for 0.
  size_t queued_bytes() const;

 private:
  friend class Call;
  struct Peer {
    std::unique_ptr<Connection> connection;
    size_t open_calls = 0;
    // Those of repeatable methods, by stream.
    absl::flat_hash_map<uint32_t, std::pair<const std::string*, std::string>> repeatable = {};
  };
  struct Listener {
    UniqueFd socket;
    FdWatch watch;
    TimerId pause = TimerId::kNone;  // while no descriptor is free
  };

  void Accept(BorrowedFd listener);
  void OnFrame(uint64_t connection_id, const FrameHeader& header, absl::string_view data);
  // Sends the answer to an open call, or to a frame that never became one.
  enum class Counted { kYes, kNo };
  void Answer(uint64_t connection_id, uint32_t stream_id, Counted counted,
              const absl::StatusOr<std::string>& result);

  Loop& loop_;
  const size_t max_connections_;
  uint64_t next_connection_id_ = 1;
  struct Method {
    std::string name;  // "service/method"
    Handler handler;
    Repeatable repeatable = Repeatable::kNo;
  };
  void Dispatch(uint64_t connection_id, uint32_t stream_id, Method& method, Request request);

  absl::flat_hash_map<std::string, std::unique_ptr<Method>> methods_;  // by name
  std::vector<std::unique_ptr<Listener>> listeners_;
  absl::flat_hash_map<uint64_t, Peer> peers_;
};

}  // namespace berth::ttrpc

#endif  // BERTH_BASE_TTRPC_SERVER_H_
