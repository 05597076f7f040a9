#include "server/main/metrics_server.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <cerrno>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "base/os/tcp_socket.h"
#include "base/status/status_macros.h"

namespace berth {
namespace {

constexpr int kBacklog = 16;
constexpr size_t kMaxRequestBytes = 8192;
constexpr struct timeval kPatience = {2, 0};

std::string Response(absl::string_view status, absl::string_view type, absl::string_view body,
                     bool with_body) {
  return absl::StrCat("HTTP/1.1 ", status, "\r\nContent-Type: ", type,
                      "\r\nContent-Length: ", body.size(), "\r\nConnection: close\r\n\r\n",
                      with_body ? body : absl::string_view());
}

}  // namespace

std::string MetricsAnswer(absl::string_view request, const std::function<std::string()>& render) {
  const absl::string_view line = request.substr(0, request.find("\r\n"));
  const std::vector<absl::string_view> words = absl::StrSplit(line, ' ');
  if (words.size() != 3 || !absl::StartsWith(words[2], "HTTP/1.")) {
    return Response("400 Bad Request", "text/plain", "no HTTP/1 request\n", true);
  }
  const bool get = words[0] == "GET";
  if (!get && words[0] != "HEAD") {
    return Response("405 Method Not Allowed", "text/plain", "only GET and HEAD\n", true);
  }
  const absl::string_view path = words[1].substr(0, words[1].find('?'));
  if (path != "/v1/metrics" && path != "/metrics") {
    return Response("404 Not Found", "text/plain", "the metrics are at /v1/metrics\n", get);
  }
  return Response("200 OK", "text/plain; version=0.0.4; charset=utf-8", render(), get);
}

absl::StatusOr<std::unique_ptr<MetricsServer>> MetricsServer::Start(absl::string_view address,
                                                                    Render render) {
  BERTH_ASSIGN_OR_RETURN(UniqueFd listener, ListenTcp(address, kBacklog), _ << "metrics.address");
  BERTH_ASSIGN_OR_RETURN(std::string bound, BoundTcpAddress(listener));
  std::unique_ptr<MetricsServer> server(
      new MetricsServer(std::move(listener), std::move(bound), std::move(render)));
  BERTH_ASSIGN_OR_RETURN(Pipe pipe, MakePipe());
  server->stop_read_ = std::move(pipe.read);
  server->stop_write_ = std::move(pipe.write);
  server->thread_ = std::thread([raw = server.get()] { raw->Run(); });
  return server;
}

MetricsServer::~MetricsServer() { Stop(); }

void MetricsServer::Stop() {
  stop_write_.Reset();  // the thread sees the end of the pipe
  if (thread_.joinable()) thread_.join();
}

void MetricsServer::Run() {
  ::pthread_setname_np(::pthread_self(), "metrics");
  struct pollfd polled[] = {{stop_read_.get(), POLLIN, 0}, {listener_.get(), POLLIN, 0}};
  while (true) {
    if (::poll(polled, 2, -1) < 0 && errno != EINTR) return;
    if (polled[0].revents != 0) return;
    if (polled[1].revents == 0) continue;
    const UniqueFd client(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (client.valid()) {
      Answer(client);
    } else if (errno == EMFILE || errno == ENFILE) {
      (void)::poll(polled, 1, 100);  // the client stays in the backlog
    }
  }
}

void MetricsServer::Answer(BorrowedFd client) const {
  for (const int option : {SO_RCVTIMEO, SO_SNDTIMEO}) {
    if (::setsockopt(client.get(), SOL_SOCKET, option, &kPatience, sizeof(kPatience)) != 0) return;
  }
  std::string request;
  char buffer[2048];
  while (!absl::StrContains(request, "\r\n\r\n")) {
    const ssize_t got = ::recv(client.get(), buffer, sizeof(buffer), 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0 || request.size() + static_cast<size_t>(got) > kMaxRequestBytes) return;
    request.append(buffer, static_cast<size_t>(got));
  }
  WriteAll(client, MetricsAnswer(request, render_)).IgnoreError();  // a client that left
}

}  // namespace berth
