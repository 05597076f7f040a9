#include "server/main/call_metrics.h"

#include <grpcpp/support/server_interceptor.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/time/clock.h"

namespace berth {
namespace {

using grpc::experimental::InterceptionHookPoints;

class Measured final : public grpc::experimental::Interceptor {
 public:
  Measured(CallMetrics& metrics, std::string method)
      : metrics_(metrics), method_(std::move(method)), begin_(absl::Now()) {}

  void Intercept(grpc::experimental::InterceptorBatchMethods* methods) override {
    if (methods->QueryInterceptionHookPoint(InterceptionHookPoints::PRE_SEND_STATUS)) {
      metrics_.Record(method_, methods->GetSendStatus().error_code(), absl::Now() - begin_);
    }
    methods->Proceed();
  }

 private:
  CallMetrics& metrics_;
  const std::string method_;
  const absl::Time begin_;
};

class Factory final : public grpc::experimental::ServerInterceptorFactoryInterface {
 public:
  explicit Factory(CallMetrics& metrics) : metrics_(metrics) {}
  grpc::experimental::Interceptor* CreateServerInterceptor(
      grpc::experimental::ServerRpcInfo* info) override {
    return new Measured(metrics_, info->method());  // gRPC owns it
  }

 private:
  CallMetrics& metrics_;
};

}  // namespace

void CallMetrics::Record(const std::string& method, int code, absl::Duration duration) {
  const double seconds = absl::ToDoubleSeconds(duration);
  const size_t bucket =
      static_cast<size_t>(std::lower_bound(kBoundsSeconds.begin(), kBoundsSeconds.end(), seconds) -
                          kBoundsSeconds.begin());
  MutexLock lock(&mutex_);
  ++ended_[{method, code}];
  Histogram& histogram = durations_[method];
  ++histogram.counts[bucket];
  ++histogram.total;
  histogram.sum_seconds += seconds;
}

std::string CallMetrics::Text() const {
  std::string text =
      "# HELP berth_grpc_calls_total Calls of the API that ended, by method and gRPC status code.\n"
      "# TYPE berth_grpc_calls_total counter\n";
  MutexLock lock(&mutex_);
  for (const auto& [key, count] : ended_) {
    absl::StrAppend(&text, "berth_grpc_calls_total{method=\"", EscapeLabel(key.first), "\",code=\"",
                    key.second, "\"} ", count, "\n");
  }
  absl::StrAppend(&text,
                  "# HELP berth_grpc_call_seconds How long calls took, waiting ones included.\n"
                  "# TYPE berth_grpc_call_seconds histogram\n");
  for (const auto& [method, histogram] : durations_) {
    const std::string label = absl::StrCat("method=\"", EscapeLabel(method), "\"");
    uint64_t below = 0;
    for (size_t i = 0; i < kBoundsSeconds.size(); ++i) {
      below += histogram.counts[i];
      absl::StrAppend(&text, "berth_grpc_call_seconds_bucket{", label, ",le=\"", kBoundsSeconds[i],
                      "\"} ", below, "\n");
    }
    absl::StrAppend(&text, "berth_grpc_call_seconds_bucket{", label, ",le=\"+Inf\"} ",
                    histogram.total, "\nberth_grpc_call_seconds_sum{", label, "} ",
                    histogram.sum_seconds, "\nberth_grpc_call_seconds_count{", label, "} ",
                    histogram.total, "\n");
  }
  return text;
}

std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>
CallMetrics::MakeInterceptors() {
  return std::make_unique<Factory>(*this);
}

std::string EscapeLabel(absl::string_view value) {
  return absl::StrReplaceAll(value, {{"\\", "\\\\"}, {"\"", "\\\""}, {"\n", "\\n"}});
}

}  // namespace berth
