// The clients of the attach socket that follow one process: they get copies of its output, and may
// be its input.
//
// Invariant: output never waits for a client that is not lossless; what such a client does not take
// within its buffer is dropped for it alone, and counted. HasRoom() is false while a lossless
// client is behind: the copiers then stop reading, and go on when `on_room` says so. At most
// kMaxClients. Input that comes in a session is counted: its client may come back with another
// connection, after a daemon that died, and goes on where the last one ended; only when nobody
// comes for the hub's patience is the client gone.
// Loop-only. Owned by a LiveTask's member and by the ProcessIo it serves.
#ifndef BERTH_SHIM_IO_ATTACH_HUB_H_
#define BERTH_SHIM_IO_ATTACH_HUB_H_

#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <string>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/attach/attach.h"
#include "base/loop/loop.h"
#include "base/os/unique_fd.h"

namespace berth::handover {
class Packer;
class Unpacker;
}  // namespace berth::handover
namespace berth::shim::v1 {
class AttachState;
}  // namespace berth::shim::v1

namespace berth::io {

class AttachHub {
 public:
  static constexpr size_t kMaxClients = 64;
  static constexpr size_t kBufferBytes = 64 << 10;  // of one client

  enum class Terminal { kNo, kYes };
  enum class Input { kNone, kStays, kFirstClient };
  // How long input in a session waits for its client to come back.
  static constexpr absl::Duration kPatience = absl::Seconds(90);
  AttachHub(Loop& loop, Terminal terminal, Input input, absl::Duration patience = kPatience);
  ~AttachHub();
  AttachHub(const AttachHub&) = delete;
  AttachHub& operator=(const AttachHub&) = delete;

  // For the program that this one becomes, and in it: a new hub takes the clients of the old.
  void Save(handover::Packer& packer, berth::shim::v1::AttachState& state) const;
  absl::Status Resume(const berth::shim::v1::AttachState& state, handover::Unpacker& unpacker);

  // `early`: input that came with the hello. A refusal is told to the client. Takes a connected,
  // non-blocking socket.
  void Add(UniqueFd socket, const attach::Hello& hello, std::string early);
  static void Refuse(UniqueFd socket, absl::string_view why);

  bool has_clients() const { return !clients_.empty(); }
  bool HasRoom() const { return behind_ == 0; }
  void set_on_room(absl::AnyInvocable<void()> on_room) { on_room_ = std::move(on_room); }
  // `bytes`: at most attach::kMaxPayloadBytes.
  void Output(attach::FrameType type, absl::string_view bytes);

  // The process can be given input now: `sink` is its pipe, or its terminal.
  absl::Status ConnectInput(UniqueFd sink);
  void CloseInput();

  // All output has come: each client gets the end and is let go when it has taken everything.
  // `done` runs once from the loop, when all have gone, or `limit` is over.
  void End(absl::Duration limit, absl::AnyInvocable<void()> done);

  size_t client_count() const { return clients_.size(); }
  uint64_t dropped_bytes() const { return dropped_bytes_; }

 private:
  // A lossless client counts as behind above this, so that what is being read still fits.
  static constexpr size_t kBehindBytes = kBufferBytes / 2;
  struct Session {
    std::string id;
    uint64_t taken = 0;
    bool ended = false;
    TimerId timer = TimerId::kNone;
  };
  struct Client {
    UniqueFd socket;
    attach::Hello hello;
    std::string early = "";    // input that came before it could be passed on
    std::string pending = "";  // frames that the socket did not take yet
    uint64_t dropped = 0;      // bytes that it has not been told of
    Session* session = nullptr;
    attach::InputReader reader = {};
    bool input_ended = false;
    bool behind = false;  // lossless, and its buffer is full
    FdWatch watch = {};
    uint32_t events = 0;
  };
  using Place = std::list<Client>::iterator;

  absl::Status ResumeClient(const berth::shim::v1::AttachState& state, int index,
                            handover::Unpacker& unpacker);
  void OnEvent(Place client, uint32_t events);
  // These return false when the client is gone.
  bool ReadInput(Place client);
  bool TakeInput(Place client, absl::string_view bytes);
  bool FlushClient(Place client);
  bool Queue(Place client, std::string frame);
  bool QueueOutput(Place client, attach::FrameType type, absl::string_view bytes);
  void UpdateEvents(Client& client);
  void SetBehind(Client& client, bool behind);
  void Remove(Place client);
  void EndOfInput(Client& client);
  // Also takes the session from the connection that had it.
  Session& EnterSession(const std::string& id);
  void PassInput(absl::string_view bytes);
  void WriteInput();
  void OnInputRoom();
  bool TakesInputOf(const Client& client) const;
  void CheckEnded();

  Loop& loop_;
  const Terminal terminal_;
  const Input input_;
  const absl::Duration patience_;
  std::list<Session> sessions_;  // the newest last
  std::list<Client> clients_;
  size_t behind_ = 0;
  absl::AnyInvocable<void()> on_room_;
  uint64_t dropped_bytes_ = 0;
  UniqueFd sink_;
  FdWatch sink_watch_;
  std::string input_pending_;  // was read, and the process has not taken it
  bool input_closed_ = false;  // as soon as input_pending_ is empty
  bool ended_ = false;
  absl::AnyInvocable<void()> done_;
  TimerId timer_ = TimerId::kNone;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // for what is posted
};

}  // namespace berth::io

#endif  // BERTH_SHIM_IO_ATTACH_HUB_H_
