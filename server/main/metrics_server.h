// A small HTTP server for one page: the daemon's metrics in Prometheus' text form.
//
// One thread answers one client at a time; a client has two seconds to send its request and to take
// the answer, and no request is longer than 8 KiB. Thread-compatible; Stop ends the thread. Owned
// by Daemon.
#ifndef BERTH_SERVER_MAIN_METRICS_SERVER_H_
#define BERTH_SERVER_MAIN_METRICS_SERVER_H_

#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/os/unique_fd.h"

namespace berth {

class MetricsServer {
 public:
  // The page, made anew for each request, on the server's thread.
  using Render = std::function<std::string()>;

  // Errors: as ListenTcp.
  static absl::StatusOr<std::unique_ptr<MetricsServer>> Start(absl::string_view address,
                                                              Render render);
  ~MetricsServer();
  void Stop();
  // Where it listens: the port may have been chosen by the kernel.
  const std::string& address() const { return address_; }

 private:
  MetricsServer(UniqueFd listener, std::string address, Render render)
      : listener_(std::move(listener)), address_(std::move(address)), render_(std::move(render)) {}
  void Run();
  void Answer(BorrowedFd client) const;

  const UniqueFd listener_;
  const std::string address_;
  const Render render_;
  UniqueFd stop_read_;
  UniqueFd stop_write_;
  std::thread thread_;
};

// The answer to the bytes of one request's head.
std::string MetricsAnswer(absl::string_view request, const std::function<std::string()>& render);

}  // namespace berth

#endif  // BERTH_SERVER_MAIN_METRICS_SERVER_H_
