// Who waits for the end of which process of one task.
//
// Invariant: each waiter is answered once, or cancelled. At most kMaxWaiters wait on one task.
// Loop-only. Owned by a Task.
#ifndef BERTH_SERVER_TASK_EXIT_WAITERS_H_
#define BERTH_SERVER_TASK_EXIT_WAITERS_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "proto/containerd/services/tasks/v1/tasks.pb.h"

namespace berth {

class ExitWaiters {
 public:
  using Response = containerd::services::tasks::v1::WaitResponse;
  using Done = absl::AnyInvocable<void(absl::StatusOr<Response>)>;
  static constexpr size_t kMaxWaiters = 4096;

  // Errors: RESOURCE_EXHAUSTED; `done` is then untouched.
  absl::Status Add(const std::string& exec_id, uint64_t ticket, Done& done);
  // Forgets one waiter without an answer.
  void Cancel(const std::string& exec_id, uint64_t ticket);
  void Answer(const std::string& exec_id, const absl::StatusOr<Response>& response);
  void AnswerAll(const absl::StatusOr<Response>& response);
  bool Has(const std::string& exec_id) const { return waiters_.contains(exec_id); }
  std::vector<std::string> ExecIds() const;

 private:
  // By ticket, which is also the order of coming.
  absl::flat_hash_map<std::string, std::map<uint64_t, Done>> waiters_;
  size_t count_ = 0;
};

}  // namespace berth

#endif  // BERTH_SERVER_TASK_EXIT_WAITERS_H_
