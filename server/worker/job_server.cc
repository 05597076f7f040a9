#include "server/worker/job_server.h"

#include "absl/strings/str_cat.h"
#include "proto/berth/worker/v1/worker.pb.h"

namespace berth::worker {

JobServer::JobServer(Loop& loop, ttrpc::Server& server, const char* service)
    : loop_(loop), server_(server), service_(service) {
  server_.Register(service_, "Cancel", [this](ttrpc::Call call) { Cancel(std::move(call)); });
}

void JobServer::Start(uint64_t id, ttrpc::Call call, Work work) {
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

void JobServer::Finish(uint64_t key, absl::StatusOr<std::string> result) {
  const auto found = jobs_.find(key);
  const std::unique_ptr<Job> job = std::move(found->second);
  jobs_.erase(found);
  job->thread.join();
  job->call.Reply(std::move(result));
}

void JobServer::Cancel(ttrpc::Call call) {
  v1::CancelRequest request;
  if (!request.ParseFromString(call.payload())) {
    return call.Reply(absl::InvalidArgumentError("the request cannot be parsed"));
  }
  for (auto& [key, job] : jobs_) {
    if (job->id == request.job()) job->cancelled.store(true, std::memory_order_relaxed);
  }
  call.Reply(v1::CancelResponse().SerializeAsString());
}

}  // namespace berth::worker
