#include "server/worker/worker_service.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status/status_macros.h"
#include "proto/berth/worker/v1/worker.pb.h"
#include "server/worker/jobs.h"

namespace berth::worker {
namespace {

template <typename Message>
absl::StatusOr<Message> Parse(const std::string& payload) {
  Message message;
  if (!message.ParseFromString(payload)) {
    return absl::InvalidArgumentError("the request cannot be parsed");
  }
  return message;
}

}  // namespace

void WorkerService::Register(ttrpc::Server& server) {
  server.Register(kServiceName, "Apply", [this](ttrpc::Call call) {
    auto request = Parse<v1::ApplyRequest>(call.payload());
    if (!request.ok()) return call.Reply(request.status());
    const uint64_t id = request->job();
    Start(id, std::move(call),
          [this, request = *std::move(request)](
              const std::atomic<bool>& cancelled) -> absl::StatusOr<std::string> {
            BERTH_ASSIGN_OR_RETURN(const v1::ApplyResponse response,
                                   RunApply(request, store_, cancelled));
            return response.SerializeAsString();
          });
  });
  server.Register(kServiceName, "Diff", [this](ttrpc::Call call) {
    auto request = Parse<v1::DiffRequest>(call.payload());
    if (!request.ok()) return call.Reply(request.status());
    const uint64_t id = request->job();
    Start(id, std::move(call),
          [this, request = *std::move(request)](
              const std::atomic<bool>& cancelled) -> absl::StatusOr<std::string> {
            BERTH_ASSIGN_OR_RETURN(const v1::DiffResponse response,
                                   RunDiff(request, store_, cancelled));
            return response.SerializeAsString();
          });
  });
  server.Register(kServiceName, "Cancel", [this](ttrpc::Call call) {
    const auto request = Parse<v1::CancelRequest>(call.payload());
    if (!request.ok()) return call.Reply(request.status());
    Cancel(request->job());
    call.Reply(v1::CancelResponse().SerializeAsString());
  });
}

void WorkerService::Start(uint64_t id, ttrpc::Call call, Work work) {
  if (jobs_.size() >= kMaxJobs) {
    call.Reply(absl::ResourceExhaustedError(absl::StrCat("the worker has ", kMaxJobs, " jobs")));
    return;
  }
  const uint64_t key = next_key_++;
  auto job = std::make_unique<Job>(std::move(call));
  job->id = id;
  Job& started = *job;
  jobs_.emplace(key, std::move(job));
  started.thread = std::thread([this, key, &started, work = std::move(work)]() mutable {
    absl::StatusOr<std::string> result = work(started.cancelled);
    loop_.Post(
        [this, key, result = std::move(result)]() mutable { Finish(key, std::move(result)); });
  });
}

void WorkerService::Finish(uint64_t key, absl::StatusOr<std::string> result) {
  const auto found = jobs_.find(key);
  const std::unique_ptr<Job> job = std::move(found->second);
  jobs_.erase(found);
  job->thread.join();
  job->call.Reply(std::move(result));
}

void WorkerService::Cancel(uint64_t id) {
  for (auto& [key, job] : jobs_) {
    if (job->id == id) job->cancelled.store(true, std::memory_order_relaxed);
  }
}

}  // namespace berth::worker
