// grpc.health.v1.Health: whether the server, or one of its services by full name, serves.
//
// Invariant: every watcher hears each change in order, beginning with the present state. Needs no
// namespace. Thread-safe; owned by server/main, which says when serving begins and ends.
#ifndef BERTH_SERVER_API_HEALTH_SERVICE_H_
#define BERTH_SERVER_API_HEALTH_SERVICE_H_

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "base/grpc/server_stream.h"
#include "base/os/mutex.h"
#include "proto/grpc/health/v1/health.grpc.pb.h"

namespace berth {

class HealthService final : public grpc::health::v1::Health::CallbackService {
 public:
  using Request = grpc::health::v1::HealthCheckRequest;
  using Response = grpc::health::v1::HealthCheckResponse;

  // `services`: full names beside the empty one, e.g. "containerd.services.tasks.v1.Tasks".
  explicit HealthService(std::vector<std::string> services);

  void SetStatus(Response::ServingStatus status);
  // Ends all watches: the server is about to stop.
  void Close();

  grpc::ServerUnaryReactor* Check(grpc::CallbackServerContext* context, const Request* request,
                                  Response* response) override;
  grpc::ServerWriteReactor<Response>* Watch(grpc::CallbackServerContext* context,
                                            const Request* request) override;

 private:
  const std::set<std::string> services_;
  Mutex mutex_;
  Response::ServingStatus status_ ABSL_GUARDED_BY(mutex_) = Response::NOT_SERVING;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  uint64_t next_watcher_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<uint64_t, StreamSink<Response>> watchers_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace berth

#endif  // BERTH_SERVER_API_HEALTH_SERVICE_H_
