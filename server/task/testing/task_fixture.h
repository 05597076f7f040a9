// A TaskManager over fake shims in a directory of its own, for tests.
//
// Invariant: every blocking helper gives up after kPatience and fails the test. Restart() stands
// for a daemon that was stopped and started again. Thread-
// compatible; one per test.
#ifndef BERTH_SERVER_TASK_TESTING_TASK_FIXTURE_H_
#define BERTH_SERVER_TASK_TESTING_TASK_FIXTURE_H_

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/grpc/executor.h"
#include "base/log/logger.h"
#include "base/os/mutex.h"
#include "gtest/gtest.h"
#include "server/events/exchange.h"
#include "server/task/loop_thread.h"
#include "server/task/shim_binary.h"
#include "server/task/shim_launcher.h"
#include "server/task/task_manager.h"

namespace berth {

inline constexpr absl::Duration kPatience = absl::Seconds(20);

// An answer that is still to come.
template <typename Response>
class Pending {
 public:
  TaskDone<Response> Done() {
    return [state = state_](absl::StatusOr<Response> response) {
      state->response = std::move(response);
      state->done.Notify();
    };
  }
  bool IsDone() const { return state_->done.HasBeenNotified(); }
  absl::StatusOr<Response> Get(absl::Duration patience = kPatience) {
    if (!state_->done.WaitForNotificationWithTimeout(patience)) {
      return absl::InternalError("the test waited in vain for an answer");
    }
    return state_->response;
  }

 private:
  struct State {
    Notification done;
    absl::StatusOr<Response> response = absl::UnknownError("unset");
  };
  std::shared_ptr<State> state_ = std::make_shared<State>();
};

class TaskFixture : public testing::Test {
 protected:
  TaskFixture();
  ~TaskFixture() override;

  // The daemon goes; its shims stay.
  void EndDaemon();
  void StartDaemon();
  void Restart() {
    EndDaemon();
    StartDaemon();
  }

  // Adds a container whose spec says how its shim is to behave.
  void AddContainer(const std::string& id, const std::string& behaviour = "");

  // Calls `method` in namespace "default" and waits for the answer.
  template <typename Response, typename Request>
  absl::StatusOr<Response> Call(void (TaskManager::*method)(TaskCall, Request, TaskDone<Response>),
                                Request request, absl::Time deadline = absl::InfiniteFuture()) {
    return Begin<Response>(method, std::move(request), deadline).Get();
  }
  template <typename Response, typename Request>
  Pending<Response> Begin(void (TaskManager::*method)(TaskCall, Request, TaskDone<Response>),
                          Request request, absl::Time deadline = absl::InfiniteFuture()) {
    Pending<Response> pending;
    (manager_.get()->*method)({"default", deadline}, std::move(request), pending.Done());
    return pending;
  }
  absl::Status Create(const std::string& id);
  absl::Status Start(const std::string& id);
  absl::Status Kill(const std::string& id, uint32_t signal);
  absl::StatusOr<containerd::services::tasks::v1::DeleteResponse> Delete(const std::string& id);
  absl::StatusOr<containerd::v1::types::Process> Get(const std::string& id);
  Pending<containerd::services::tasks::v1::WaitResponse> BeginWait(const std::string& id,
                                                                   const std::string& exec_id = "");

  std::string BundleOf(const std::string& id) const;
  bool BundleExists(const std::string& id) const;
  // The pid in a shim's journal.
  pid_t ShimPid(const std::string& id) const;
  // Waits until the bundle is gone.
  bool WaitForRemoval(const std::string& id) const;
  // Everything published since the test began: "topic id status".
  std::vector<std::string> Events();

  std::string directory_;
  Logger log_{LogLevel::kFatal, LogFormat::kText};
  Exchange exchange_;
  TaskManager::Options options_;
  std::optional<ShimBinary> binary_;
  std::optional<ShimLauncher> launcher_;
  std::unique_ptr<LoopThread> loop_;
  std::unique_ptr<Executor> executor_;
  std::unique_ptr<TaskManager> manager_;

 private:
  Mutex mutex_;
  std::map<std::string, containerd::services::containers::v1::Container> containers_
      ABSL_GUARDED_BY(mutex_);
  std::shared_ptr<Subscription> subscription_;
  std::vector<std::string> events_;
};

}  // namespace berth

#endif  // BERTH_SERVER_TASK_TESTING_TASK_FIXTURE_H_
