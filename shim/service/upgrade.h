// A shim becomes another program: berth.shim.v1.Supervisor/Upgrade.
//
//   at rest? -> packed -> a child of the new program looks at it -> at rest? -> packed again,
//   looked at again -> execve
//
// Between the two looks the shim serves as ever, so a program that hangs costs nothing; from the
// second moment of rest to execve it serves nobody, for kRestLimit and kLastLookLimit at most.
// Invariant: until execve succeeds nothing has changed, and whatever fails before is undone; what
// is under way (Packer::CheckComplete) makes it wait and then fail, never get lost. Loop-only.
// Owned by main; goes before the tasks and the server.
#ifndef BERTH_SHIM_SERVICE_UPGRADE_H_
#define BERTH_SHIM_SERVICE_UPGRADE_H_

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/loop/loop.h"
#include "base/os/unique_fd.h"
#include "base/ttrpc/server.h"
#include "shim/service/event_queue.h"
#include "shim/service/live_task.h"
#include "shim/service/task_service.h"

namespace berth::service {

class Upgrade {
 public:
  // How long it waits for the end of what is under way, and for the last look.
  static constexpr absl::Duration kRestLimit = absl::Seconds(1);
  static constexpr absl::Duration kLastLookLimit = absl::Seconds(2);

  struct Parts {
    Loop& loop;
    ttrpc::Server& server;
    EventQueue& events;
    TaskService& tasks;
    const ShimContext& context;
    BorrowedFd bundle;
    std::string id;
    std::string daemon_address;
    std::vector<std::string> arguments;  // of the program, with argv[0]
  };
  explicit Upgrade(Parts parts) : parts_(std::move(parts)) {}
  ~Upgrade();
  Upgrade(const Upgrade&) = delete;
  Upgrade& operator=(const Upgrade&) = delete;

  void Register(ttrpc::Server& server);

 private:
  struct Packed {
    UniqueFd state;  // of memory, sealed
    std::set<int> descriptors;
  };
  // A child that looks at `packed`.
  struct Look {
    pid_t pid = -1;
    UniqueFd pidfd;
    UniqueFd report;
  };

  void Begin(ttrpc::Call call);
  // Calls `then` with the state, once nothing is under way.
  void AwaitRest(absl::AnyInvocable<void(Packed)> then);
  void TryPack(absl::Time deadline, absl::AnyInvocable<void(Packed)> then);
  absl::StatusOr<Packed> Pack();
  absl::StatusOr<Look> StartLook(const Packed& packed);
  // The version that the program says it has, after its end. Errors: FAILED_PRECONDITION.
  static absl::StatusOr<std::string> EndLook(Look look);
  static void KillLook(const Look& look);
  void FirstLook(Packed packed);
  void FirstLookEnded();
  void LastLook(Packed packed);
  absl::Status Execute(const Packed& packed);
  void Reply(absl::StatusOr<std::string> payload);

  const Parts parts_;
  std::optional<ttrpc::Call> call_;  // while an upgrade is under way
  UniqueFd program_;
  absl::Duration check_timeout_;
  bool check_only_ = false;
  TimerId timer_ = TimerId::kNone;
  std::optional<Look> look_;
  FdWatch look_watch_;
};

}  // namespace berth::service

#endif  // BERTH_SHIM_SERVICE_UPGRADE_H_
