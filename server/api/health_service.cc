#include "server/api/health_service.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/grpc/unary.h"

namespace berth {
namespace {

constexpr size_t kMaxWatchers = 1024;
constexpr size_t kQueueLimit = 16;

HealthService::Response MakeResponse(HealthService::Response::ServingStatus status) {
  HealthService::Response response;
  response.set_status(status);
  return response;
}

std::set<std::string> WithServer(std::vector<std::string> services) {
  services.emplace_back();
  return std::set<std::string>(services.begin(), services.end());
}

}  // namespace

HealthService::HealthService(std::vector<std::string> services)
    : services_(WithServer(std::move(services))) {}

void HealthService::SetStatus(Response::ServingStatus status) {
  MutexLock lock(&mutex_);
  status_ = status;
  // Push never blocks and never calls back, so that the order holds.
  for (auto& [id, sink] : watchers_) sink.Push(MakeResponse(status));
}

void HealthService::Close() {
  std::map<uint64_t, StreamSink<Response>> watchers;
  {
    MutexLock lock(&mutex_);
    closed_ = true;
    watchers.swap(watchers_);
  }
  for (auto& [id, sink] : watchers) sink.Close(absl::UnavailableError("the server is stopping"));
}

grpc::ServerUnaryReactor* HealthService::Check(grpc::CallbackServerContext* context,
                                               const Request* request, Response* response) {
  return UnaryAsync(
      context, request, response,
      [this](const CallInfo&, const Request& request, Done<Response> done) {
        if (services_.count(request.service()) == 0) {
          done(absl::NotFoundError(absl::StrCat("unknown service \"", request.service(), "\"")));
          return;
        }
        Response::ServingStatus status;
        {
          MutexLock lock(&mutex_);
          status = status_;
        }
        done(MakeResponse(status));
      });
}

grpc::ServerWriteReactor<HealthService::Response>* HealthService::Watch(
    grpc::CallbackServerContext* context, const Request* request) {
  return PushStream<Response>(
      context, request, kQueueLimit,
      [this](const CallInfo& call, const Request& request, StreamSink<Response> sink) {
        uint64_t id = 0;
        {
          MutexLock lock(&mutex_);
          if (closed_) return absl::UnavailableError("the server is stopping");
          if (watchers_.size() >= kMaxWatchers) {
            return absl::ResourceExhaustedError("too many health watchers");
          }
          const bool known = services_.count(request.service()) != 0;
          sink.Push(MakeResponse(known ? status_ : Response::SERVICE_UNKNOWN));
          id = next_watcher_++;
          watchers_.emplace(id, std::move(sink));
        }
        call.OnCancel([this, id] {
          MutexLock lock(&mutex_);
          watchers_.erase(id);
        });
        return absl::OkStatus();
      });
}

}  // namespace berth
