// The states of one task and its execs, and which verb is legal when. No system calls.
//
// A verb that takes time comes in two halves: Begin* refuses or moves to a state in between, and
// *Finished / *Failed ends it. Exits are reported by Exited at any time and handed out for
// announcement in the order that clients rely on: an exit never before its start has finished, and
// init's only when every exec has ended.
//
// Invariant: each exit is handed out exactly once. Errors of every verb: NOT_FOUND for an unknown
// exec id, FAILED_PRECONDITION for a wrong state (the message names it), unless said otherwise.
// Thread-compatible; owned by shim/service.
#ifndef BERTH_SHIM_TASK_TASK_H_
#define BERTH_SHIM_TASK_TASK_H_

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "shim/task/process.h"

namespace berth::task {

inline constexpr size_t kMaxExecs = 8192;

// An exit that may be announced now.
struct Exit {
  std::string exec_id;  // empty for init
  pid_t pid = 0;
  uint32_t status = 0;
  absl::Time at = absl::InfinitePast();
  // kSilent: the start failed, so no client has heard of the process; no event is published.
  enum class Event { kPublish, kSilent } event = Event::kPublish;
};

class Task {
 public:
  // A task begins at Create: init is kCreating.
  Task(std::string id, Stdio stdio);

  const std::string& id() const { return id_; }
  const Process& init() const { return init_.process; }
  absl::StatusOr<const Process*> Find(const std::string& exec_id) const;
  // Ids of the execs, in order.
  std::vector<std::string> ExecIds() const;

  void CreateFinished(pid_t pid);

  // Errors: ALREADY_EXISTS for an id in use; INVALID_ARGUMENT for an empty one; RESOURCE_EXHAUSTED
  // with kMaxExecs.
  absl::Status AddExec(const std::string& exec_id, Stdio stdio);

  absl::Status BeginStart(const std::string& exec_id);
  // An exec's pid becomes known here. The exits that waited for it follow.
  std::vector<Exit> StartFinished(const std::string& exec_id, pid_t pid);
  // An exec is then kStopped with status 255 and its exit is silent. Init is still to exit by
  // itself (its process ends) and stays kStarting until then.
  std::vector<Exit> StartFailed(const std::string& exec_id, absl::Time at);

  absl::Status BeginPause();
  absl::Status BeginResume();
  // Ends either; `state` is what the container is now: kRunning or kPaused.
  void FreezeFinished(State state);

  // Whether a signal can be sent. Errors: NOT_FOUND "process already finished".
  absl::Status CheckSignal(const std::string& exec_id) const;
  absl::Status CheckUpdate() const;

  // The process has ended.
  std::vector<Exit> Exited(const std::string& exec_id, uint32_t status, absl::Time at);

  // For init: kCreated (the caller then kills it first) or kStopped. For an exec: kAdded or
  // kStopped. ALREADY_EXISTS while another delete runs: join that one.
  absl::Status BeginDelete(const std::string& exec_id);
  // Puts a process whose delete failed back to kStopped.
  void DeleteFailed(const std::string& exec_id);
  // Forgets an exec.
  void ForgetExec(const std::string& exec_id);

  // The container is made again: init is kCreating, the execs are forgotten. Requires: init is
  // kDeleting or kStopped.
  void NextGeneration(Stdio stdio);
  // It could not be made: init is kStopped, as it was before.
  void NextGenerationFailed(pid_t pid, uint32_t status, absl::Time at);

  // All there is of a process, for a Task in another program that goes on with it.
  struct Saved {
    Process process;
    bool start_failed = false;
    std::optional<Exit> held;  // has ended and is not announced yet
  };
  // Init is the first. Requires: no verb is between its halves.
  std::vector<Saved> Save() const;
  // Errors: FAILED_PRECONDITION for what cannot be, or is between two states.
  absl::Status Resume(std::vector<Saved> processes);

  // True when no process of the task is left that could still exit.
  bool AllExited() const;

 private:
  struct Entry {
    Process process;
    bool started_failed = false;
    std::optional<Exit> held;  // has ended and is not announced yet
  };
  Entry* FindEntry(const std::string& exec_id);
  static bool Live(const Entry& entry);
  // Moves what may be announced now to kStopped and appends it.
  void Release(Entry& entry, std::vector<Exit>& exits);
  std::vector<Exit> ReleaseAll(Entry& first);
  absl::Status WrongState(const Entry& entry, const char* verb) const;

  const std::string id_;
  Entry init_;
  std::map<std::string, Entry> execs_;
};

}  // namespace berth::task

#endif  // BERTH_SHIM_TASK_TASK_H_
