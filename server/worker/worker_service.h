// Serves jobs over ttrpc: each on a thread of its own, its answer sent from the loop.
//
// Invariant: at most kMaxJobs run at a time (the caller keeps to it; more are RESOURCE_EXHAUSTED);
// a job's Call is answered exactly once. Loop-only; jobs' threads touch nothing here but by Post.
// Owned by worker_main.
#ifndef BERTH_SERVER_WORKER_WORKER_SERVICE_H_
#define BERTH_SERVER_WORKER_WORKER_SERVICE_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/loop/loop.h"
#include "base/ttrpc/server.h"
#include "server/worker/store_directory.h"

namespace berth::worker {

inline constexpr char kServiceName[] = "berth.worker.v1.Worker";
inline constexpr size_t kMaxJobs = 16;

class WorkerService {
 public:
  WorkerService(Loop& loop, const StoreDirectory& store) : loop_(loop), store_(store) {}
  WorkerService(const WorkerService&) = delete;
  WorkerService& operator=(const WorkerService&) = delete;

  void Register(ttrpc::Server& server);

 private:
  // Runs on the job's thread and returns the serialized response.
  using Work = absl::AnyInvocable<absl::StatusOr<std::string>(const std::atomic<bool>& cancelled)>;
  struct Job {
    explicit Job(ttrpc::Call call) : call(std::move(call)) {}
    ttrpc::Call call;
    uint64_t id = 0;
    std::atomic<bool> cancelled{false};
    std::thread thread;
  };

  void Start(uint64_t id, ttrpc::Call call, Work work);
  void Finish(uint64_t key, absl::StatusOr<std::string> result);
  void Cancel(uint64_t id);

  Loop& loop_;
  const StoreDirectory& store_;
  uint64_t next_key_ = 1;
  absl::flat_hash_map<uint64_t, std::unique_ptr<Job>> jobs_;
};

}  // namespace berth::worker

#endif  // BERTH_SERVER_WORKER_WORKER_SERVICE_H_
