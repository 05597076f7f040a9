// Follows a daemon and the shims that it starts with ptrace(2), and kills one of them at a chosen
// system call.
//
// Invariant: everything that is followed runs on undisturbed until the armed stop; the stop's
// number counts each entry into and each return from a system call, over all threads of the target,
// from Arm on. What is followed dies with the tracer. Thread-hostile: all calls come from the
// thread that spawned the daemon, which must be the process's main thread and has SIGCHLD blocked.
// Owned by the harness's main.
#ifndef BERTH_TESTS_FAULT_SYSCALL_TRACER_H_
#define BERTH_TESTS_FAULT_SYSCALL_TRACER_H_

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <set>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/time/time.h"

namespace berth::fault {

enum class Target { kNone, kDaemon, kShim };

class SyscallTracer {
 public:
  // Takes over a daemon that has just been spawned.
  absl::Status Follow(pid_t daemon);
  // From now on the `number`th stop of `target` kills it.
  void Arm(Target target, uint64_t number);
  void Disarm() { target_ = Target::kNone; }

  bool fired() const { return fired_; }
  // "openat>" for the entry, "openat<" for the return.
  const std::string& point() const { return point_; }
  uint64_t stops() const { return stops_; }

  // Handles what happens until `done()`; false when that took longer than `patience`.
  bool Pump(absl::FunctionRef<bool()> done, absl::Duration patience);
  bool alive(pid_t pid) const { return running_.count(pid) != 0; }
  // The shims that live now.
  std::set<pid_t> Shims() const;
  // Kills a process that is followed and waits for its end.
  void Kill(pid_t pid);

 private:
  enum class Role { kDaemon, kSpawned, kShim };

  void Drain();
  void OnStop(pid_t tid, int status);
  void OnExec(pid_t tid);
  void OnSyscall(pid_t tid, Role role);
  void Resume(pid_t tid, Role role, int signal) const;

  pid_t daemon_ = -1;
  std::map<pid_t, Role> tracees_;  // by thread
  std::set<pid_t> running_;        // processes
  Target target_ = Target::kNone;
  uint64_t number_ = 0;
  uint64_t stops_ = 0;
  bool fired_ = false;
  std::string point_;
};

}  // namespace berth::fault

#endif  // BERTH_TESTS_FAULT_SYSCALL_TRACER_H_
