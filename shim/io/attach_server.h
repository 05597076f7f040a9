// The attach socket of a task: takes connections, reads their hello, and hands each to the hub of
// the process that it names.
//
// Invariant: a client that does not say hello within kHelloTimeout is let go; at most kMaxGreeting
// are listened to at a time, further ones wait in the backlog. Never blocks. Loop-only. Owned by a
// LiveTask.
#ifndef BERTH_SHIM_IO_ATTACH_SERVER_H_
#define BERTH_SHIM_IO_ATTACH_SERVER_H_

#include <cstddef>
#include <list>
#include <memory>
#include <string>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/loop/loop.h"
#include "base/os/unique_fd.h"
#include "shim/io/attach_hub.h"

namespace berth::handover {
class Packer;
class Unpacker;
}  // namespace berth::handover
namespace berth::shim::v1 {
class AttachServerState;
}  // namespace berth::shim::v1

namespace berth::io {

class AttachServer {
 public:
  static constexpr absl::Duration kHelloTimeout = absl::Seconds(10);
  static constexpr size_t kMaxGreeting = 32;
  // The hub of a process ("": init's). Errors: told to the client.
  using FindHub = absl::AnyInvocable<absl::StatusOr<AttachHub*>(const std::string& exec_id)>;

  // Binds <bundle>/attach, in the place of an older one.
  static absl::StatusOr<std::unique_ptr<AttachServer>> Start(Loop& loop, absl::string_view bundle,
                                                             FindHub find_hub);
  // For the program that this one becomes, and in it.
  void Save(handover::Packer& packer, berth::shim::v1::AttachServerState& state) const;
  static absl::StatusOr<std::unique_ptr<AttachServer>> Resume(
      Loop& loop, const berth::shim::v1::AttachServerState& state, handover::Unpacker& unpacker,
      FindHub find_hub);
  ~AttachServer();
  AttachServer(const AttachServer&) = delete;
  AttachServer& operator=(const AttachServer&) = delete;

 private:
  struct Greeting {
    UniqueFd socket;
    std::string bytes = "";
    FdWatch watch = {};
    TimerId timer = TimerId::kNone;
  };
  using Place = std::list<Greeting>::iterator;

  AttachServer(Loop& loop, FindHub find_hub) : loop_(loop), find_hub_(std::move(find_hub)) {}
  absl::Status Listen(UniqueFd listener);
  absl::Status Greet(UniqueFd socket, std::string bytes, absl::Duration limit);
  void Accept();
  void Read(Place greeting);
  void Drop(Place greeting);

  Loop& loop_;
  FindHub find_hub_;
  UniqueFd listener_;
  FdWatch watch_;
  TimerId pause_ = TimerId::kNone;
  std::list<Greeting> greetings_;
};

}  // namespace berth::io

#endif  // BERTH_SHIM_IO_ATTACH_SERVER_H_
