#include "server/task/exit_waiters.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace berth {

absl::Status ExitWaiters::Add(const std::string& exec_id, uint64_t ticket, Done& done) {
  if (count_ >= kMaxWaiters) {
    return absl::ResourceExhaustedError(
        absl::StrCat(kMaxWaiters, " clients wait for this task already"));
  }
  waiters_[exec_id].emplace(ticket, std::move(done));
  ++count_;
  return absl::OkStatus();
}

void ExitWaiters::Cancel(const std::string& exec_id, uint64_t ticket) {
  const auto group = waiters_.find(exec_id);
  if (group == waiters_.end()) return;
  count_ -= group->second.erase(ticket);
  if (group->second.empty()) waiters_.erase(group);
}

void ExitWaiters::Answer(const std::string& exec_id, const absl::StatusOr<Response>& response) {
  auto group = waiters_.extract(exec_id);
  if (group.empty()) return;
  count_ -= group.mapped().size();
  for (auto& [ticket, done] : group.mapped()) done(response);
}

void ExitWaiters::AnswerAll(const absl::StatusOr<Response>& response) {
  for (const std::string& exec_id : ExecIds()) Answer(exec_id, response);
}

std::vector<std::string> ExitWaiters::ExecIds() const {
  std::vector<std::string> ids;
  ids.reserve(waiters_.size());
  for (const auto& [exec_id, group] : waiters_) ids.push_back(exec_id);
  return ids;
}

}  // namespace berth
