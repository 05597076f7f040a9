// berthd's side of berth-worker: starts it when there is work and lets it go when there is none.
//
// Invariants: at most one worker runs. Each job's `done` runs exactly once. A worker that dies
// fails the jobs it had with UNAVAILABLE, which says how it died; nothing of them was committed,
// and the next job starts a new worker. At most kMaxRunning jobs are with the worker, at most
// kMaxWaiting wait here. Thread-safe; `done` runs on the loop and must not block. Owned by
// server/main; Stop before the loop ends.
#ifndef BERTH_SERVER_WORKER_CLIENT_WORKER_CLIENT_H_
#define BERTH_SERVER_WORKER_CLIENT_WORKER_CLIENT_H_

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/grpc/executor.h"
#include "base/loop/loop.h"
#include "base/os/spawn.h"
#include "base/os/unique_fd.h"
#include "base/ttrpc/client.h"
#include "proto/berth/worker/v1/worker.pb.h"

namespace berth::worker {

class WorkerClient {
 public:
  static constexpr size_t kMaxRunning = 8;
  static constexpr size_t kMaxWaiting = 1024;

  struct Options {
    std::string executable;         // berth-worker
    std::string content_directory;  // ROOT/content
    absl::Duration idle = absl::Seconds(10);
  };
  template <typename Response>
  using Done = absl::AnyInvocable<void(absl::StatusOr<Response>)>;

  // `executor` takes what blocks: starting and reaping the worker.
  WorkerClient(Loop& loop, Executor& executor, Options options);
  ~WorkerClient();
  WorkerClient(const WorkerClient&) = delete;
  WorkerClient& operator=(const WorkerClient&) = delete;

  // Gives the job a number, which Cancel takes. The request's own `job` is overwritten.
  // Errors (to `done`): the worker's; RESOURCE_EXHAUSTED when too many wait; UNAVAILABLE when the
  // worker died or cannot be started.
  uint64_t Apply(v1::ApplyRequest request, Done<v1::ApplyResponse> done);
  uint64_t Diff(v1::DiffRequest request, Done<v1::DiffResponse> done);
  // The job ends with CANCELLED, soon. One that has ended is ignored.
  void Cancel(uint64_t job);
  // Fails what waits and runs, ends the worker. Call it on no thread of the loop or executor, while
  // both still run; again, at any time, it does nothing. Blocks.
  void Stop();

 private:
  class Impl;
  Loop& loop_;
  std::atomic<uint64_t> next_job_{1};
  std::atomic<bool> stopped_{false};
  const std::shared_ptr<Impl> impl_;  // also held by what is posted
};

}  // namespace berth::worker

#endif  // BERTH_SERVER_WORKER_CLIENT_WORKER_CLIENT_H_
