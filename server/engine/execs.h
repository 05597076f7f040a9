// Further processes in containers: made, started, looked at, ended.
//
// Invariant: an exec is known from Create until its container's end, at most kKept ended ones; its
// process is added to the shim by Create, so that clients attach before it starts. Of one that an
// earlier daemon made only its end is known, and what a client that comes back to it says.
// Thread-safe. Owned by Engine.
#ifndef BERTH_SERVER_ENGINE_EXECS_H_
#define BERTH_SERVER_ENGINE_EXECS_H_

#include <deque>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "base/os/mutex.h"
#include "proto/berth/engine/v1/exec.pb.h"
#include "proto/berth/engine/v1/life.pb.h"
#include "server/engine/async.h"
#include "server/engine/container_records.h"
#include "server/engine/container_table.h"
#include "server/engine/engine_parts.h"
#include "server/engine/lifecycle.h"

namespace berth::engine {

class Execs {
 public:
  static constexpr size_t kKept = 1024;

  Execs(const EngineParts& parts, ContainerRecords& records, Lifecycle& lifecycle)
      : parts_(parts), records_(records), lifecycle_(lifecycle) {}

  // Errors: FAILED_PRECONDITION unless the container runs.
  Async<absl::StatusOr<v1::CreateExecResponse>> Create(ContainerKey key,
                                                       v1::CreateExecRequest request);
  // Errors: NOT_FOUND; FAILED_PRECONDITION when it was started already.
  Async<absl::StatusOr<v1::StartExecResponse>> Start(std::string ns, std::string exec_id);
  absl::StatusOr<v1::InspectExecResponse> Inspect(const std::string& ns,
                                                  const std::string& exec_id);
  // The container of an exec. Errors: NOT_FOUND.
  absl::StatusOr<ContainerKey> ContainerOf(const std::string& ns, const std::string& exec_id);
  // An exec of an earlier daemon whose process the shim has: its end is told by OnEnd.
  void Recall(const ContainerKey& key, const std::string& exec_id);
  std::vector<std::string> RunningIn(const ContainerKey& key);
  // `callback` runs once, with the exit code; at once for one that has ended.
  void WaitEnd(const std::string& exec_id, absl::AnyInvocable<void(int)> callback);
  void OnEnd(const ContainerKey& key, const std::string& exec_id, const TaskEndNews& end);
  Async<absl::StatusOr<v1::ResizeResponse>> Resize(ContainerKey key, v1::ResizeRequest request);

 private:
  struct Exec {
    ContainerKey key;
    v1::CreateExecRequest request;
    enum class Stage { kCreated, kRunning, kEnded } stage = Stage::kCreated;
    int exit_code = 0;
    uint32_t pid = 0;
    std::vector<absl::AnyInvocable<void(int)>> waiting;
  };
  bool IsKnown(const std::string& exec_id);
  Async<bool> DeleteProcess(ContainerKey key, std::string exec_id);

  const EngineParts& parts_;
  ContainerRecords& records_;
  Lifecycle& lifecycle_;
  Mutex mutex_;
  absl::flat_hash_map<std::string, Exec> execs_ ABSL_GUARDED_BY(mutex_);
  std::deque<std::string> ended_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace berth::engine

#endif  // BERTH_SERVER_ENGINE_EXECS_H_
