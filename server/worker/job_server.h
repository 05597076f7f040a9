// Serves jobs over ttrpc: each on a thread of its own, its answer sent from the loop.
//
// Invariant: at most kMaxJobs run at a time (the caller keeps to it; more are RESOURCE_EXHAUSTED);
// a job's Call is answered exactly once. Loop-only; jobs' threads touch nothing here but by Post.
// Owned by worker_main.
#ifndef BERTH_SERVER_WORKER_JOB_SERVER_H_
#define BERTH_SERVER_WORKER_JOB_SERVER_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/loop/loop.h"
#include "base/ttrpc/server.h"

namespace berth::worker {

inline constexpr size_t kMaxJobs = 16;

class JobServer {
 public:
  JobServer(Loop& loop, ttrpc::Server& server, const char* service);
  JobServer(const JobServer&) = delete;
  JobServer& operator=(const JobServer&) = delete;

  // `run(const Request&, const std::atomic<bool>& cancelled)` is called on the job's thread, with
  // calls of it at the same time, and returns a StatusOr<Response>.
  template <typename Request, typename Run>
  void Register(const char* method, Run run);

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
  void Cancel(ttrpc::Call call);

  Loop& loop_;
  ttrpc::Server& server_;
  const char* const service_;
  uint64_t next_key_ = 1;
  absl::flat_hash_map<uint64_t, std::unique_ptr<Job>> jobs_;
};

template <typename Request, typename Run>
void JobServer::Register(const char* method, Run run) {
  server_.Register(service_, method, [this, run](ttrpc::Call call) {
    Request request;
    if (!request.ParseFromString(call.payload())) {
      return call.Reply(absl::InvalidArgumentError("the request cannot be parsed"));
    }
    const uint64_t id = request.job();
    Start(id, std::move(call),
          [run, request = std::move(request)](
              const std::atomic<bool>& cancelled) -> absl::StatusOr<std::string> {
            auto response = run(request, cancelled);
            if (!response.ok()) return response.status();
            return response->SerializeAsString();
          });
  });
}

}  // namespace berth::worker

#endif  // BERTH_SERVER_WORKER_JOB_SERVER_H_
