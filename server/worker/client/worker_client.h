// berthd's side of berth-worker: starts it when there is work and lets it go when there is none.
//
// Two kinds of worker: one that unpacks and makes layers, without network; one that talks to
// registries and writes nothing but uploads.
//
// Invariants: at most one worker of a kind runs. Each job's `done` runs exactly once. A worker that
// dies fails the jobs it had with UNAVAILABLE, which says how it died; nothing of them was
// committed, and the next job starts a new worker. At most kMaxRunning jobs are with a worker, at
// most kMaxWaiting wait for each. Thread-safe; `done` runs on the loop and must not block. Owned by
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
#include "server/worker/progress_table.h"

namespace berth::worker {

// A slot of the progress table, lent. Immutable; given back when the last owner lets go.
class ProgressSlot {
 public:
  ~ProgressSlot();
  ProgressSlot(const ProgressSlot&) = delete;
  ProgressSlot& operator=(const ProgressSlot&) = delete;
  uint32_t number() const { return number_; }
  // How far the job is. Never blocks.
  Progress Read() const;
  // Of what berthd itself writes: of a job, the worker and the job's end say it. Never block.
  void Advance(uint64_t offset, uint64_t total) const;
  void End(ProgressState state) const;

 private:
  friend class WorkerClient;
  class Pool;
  ProgressSlot(std::shared_ptr<Pool> pool, uint32_t number)
      : pool_(std::move(pool)), number_(number) {}
  const std::shared_ptr<Pool> pool_;
  const uint32_t number_;
};

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
  uint64_t Recompress(v1::RecompressRequest request, Done<v1::RecompressResponse> done);
  uint64_t ReadArchive(v1::ReadArchiveRequest request, Done<v1::ReadArchiveResponse> done);
  // Registries. `slot` shows the progress and may be null; the request's own `slot` is overwritten.
  // Errors: see worker.proto, service Registry.
  uint64_t Resolve(v1::ResolveRequest request, Done<v1::ResolveResponse> done);
  uint64_t Fetch(v1::FetchRequest request, std::shared_ptr<ProgressSlot> slot,
                 Done<v1::FetchResponse> done);
  uint64_t Push(v1::PushRequest request, std::shared_ptr<ProgressSlot> slot,
                Done<v1::PushResponse> done);
  uint64_t PushManifest(v1::PushManifestRequest request, Done<v1::PushManifestResponse> done);
  uint64_t Referrers(v1::ReferrersRequest request, Done<v1::ReferrersResponse> done);
  uint64_t Tags(v1::TagsRequest request, Done<v1::TagsResponse> done);
  uint64_t CheckLogin(v1::CheckLoginRequest request, Done<v1::CheckLoginResponse> done);
  // A slot for one Fetch or Push, or for an upload that berthd writes. While that Fetch runs, an
  // Apply may follow it (request.upload and slot number in ApplyRequest.follow) and unpacks the
  // bytes as they come: start the Fetch first, keep the slot until both have ended, and use what
  // Apply says only if the Fetch succeeded. Null when all are lent: do without.
  std::shared_ptr<ProgressSlot> LendSlot();
  // The job ends with CANCELLED, soon. One that has ended is ignored.
  void Cancel(uint64_t job);
  // Fails what waits and runs, ends the worker. Call it on no thread of the loop or executor, while
  // both still run; again, at any time, it does nothing. Blocks.
  void Stop();

 private:
  class Impl;
  template <typename Request, typename Response>
  uint64_t Start(const std::shared_ptr<Impl>& impl, const char* method, Request request,
                 Done<Response> done);
  template <typename Request, typename Response>
  uint64_t StartWithSlot(const char* method, Request request, std::shared_ptr<ProgressSlot> slot,
                         Done<Response> done);
  Loop& loop_;
  std::atomic<uint64_t> next_job_{1};
  std::atomic<bool> stopped_{false};
  const std::shared_ptr<ProgressSlot::Pool> slots_;
  const std::shared_ptr<Impl> unpack_;  // also held by what is posted
  const std::shared_ptr<Impl> fetch_;
};

}  // namespace berth::worker

#endif  // BERTH_SERVER_WORKER_CLIENT_WORKER_CLIENT_H_
