// Who waits for a container's end: its next exit, or its removal.
//
// Invariant: each callback runs exactly once, or is dropped by Cancel. Callbacks run on the thread
// that tells the end and must not block. Thread-safe; owned by Engine.
#ifndef BERTH_SERVER_ENGINE_END_WAITERS_H_
#define BERTH_SERVER_ENGINE_END_WAITERS_H_

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/os/mutex.h"
#include "server/engine/container_table.h"

namespace berth::engine {

struct ContainerEnd {
  int exit_code = 0;
  std::string error;
};

class EndWaiters {
 public:
  static constexpr size_t kRemembered = 1024;
  enum class For { kExit, kRemoval };
  using Callback = absl::AnyInvocable<void(absl::StatusOr<ContainerEnd>)>;
  using Ticket = uint64_t;

  Ticket Wait(const ContainerKey& key, For what, Callback callback);
  void Cancel(const ContainerKey& key, Ticket ticket);
  // Answers those who wait for an exit.
  void TellExit(const ContainerKey& key, const ContainerEnd& end);
  // Answers everybody, and is remembered for those who ask too late.
  void TellRemoval(const ContainerKey& key, const ContainerEnd& end);
  // How a container ended that was removed since we are here, one of the last kRemembered.
  std::optional<ContainerEnd> EndOfRemoved(const ContainerKey& key);
  // Answers everybody of all containers with `reason`.
  void Close(const absl::Status& reason);

 private:
  struct Waiter {
    For what;
    Callback callback;
  };
  std::vector<Callback> Take(const ContainerKey& key, For up_to);

  Mutex mutex_;
  Ticket next_ ABSL_GUARDED_BY(mutex_) = 1;
  absl::flat_hash_map<ContainerKey, std::map<Ticket, Waiter>> waiters_ ABSL_GUARDED_BY(mutex_);
  std::deque<std::pair<ContainerKey, ContainerEnd>> removed_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace berth::engine

#endif  // BERTH_SERVER_ENGINE_END_WAITERS_H_
