// How often each method of the API was called, how it ended, and how long it took.
//
// Invariant: the number of series is bounded by the methods that exist and the codes of gRPC: calls
// of unknown methods are never seen here. Thread-safe. Owned by Daemon; gRPC's interceptors refer
// to it, so it outlives the server.
#ifndef BERTH_SERVER_MAIN_CALL_METRICS_H_
#define BERTH_SERVER_MAIN_CALL_METRICS_H_

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/os/mutex.h"

namespace grpc::experimental {
class ServerInterceptorFactoryInterface;
}  // namespace grpc::experimental

namespace berth {

class CallMetrics {
 public:
  // `method`: "/package.Service/Method". `code`: gRPC's number.
  void Record(const std::string& method, int code, absl::Duration duration);
  // In Prometheus' text form: a counter by method and code, a histogram by method.
  std::string Text() const;
  // For grpc::ServerBuilder.
  std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface> MakeInterceptors();

 private:
  static constexpr std::array<double, 11> kBoundsSeconds = {
      0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.5, 10};
  struct Histogram {
    std::array<uint64_t, kBoundsSeconds.size() + 1> counts = {};
    uint64_t total = 0;
    double sum_seconds = 0;
  };

  mutable Mutex mutex_;
  std::map<std::pair<std::string, int>, uint64_t> ended_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, Histogram> durations_ ABSL_GUARDED_BY(mutex_);
};

// The text form's escaping of a label's value.
std::string EscapeLabel(absl::string_view value);

}  // namespace berth

#endif  // BERTH_SERVER_MAIN_CALL_METRICS_H_
