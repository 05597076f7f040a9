#include "server/registry/testing/fake_server.h"

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status/check.h"

namespace berth::registry::testing {
namespace {

std::string Unescape(const std::string& text) {
  std::string plain;
  for (size_t i = 0; i < text.size(); ++i) {
    uint32_t value = 0;
    if (text[i] == '%' && i + 2 < text.size() &&
        absl::SimpleHexAtoi(text.substr(i + 1, 2), &value)) {
      plain.push_back(static_cast<char>(value));
      i += 2;
    } else {
      plain.push_back(text[i]);
    }
  }
  return plain;
}

// What a connection has brought and nobody has taken yet.
class Input {
 public:
  explicit Input(int fd) : fd_(fd) {}
  bool Fill() {
    char buffer[65536];
    const ssize_t got = ::recv(fd_, buffer, sizeof(buffer), 0);
    if (got <= 0) return false;
    bytes_.append(buffer, static_cast<size_t>(got));
    return true;
  }
  bool TakeLine(std::string& line) {
    size_t end = 0;
    // A TLS client: a server without TLS hangs up.
    if (bytes_.empty() && !Fill()) return false;
    if (bytes_[0] == '\x16') return false;
    while ((end = bytes_.find("\r\n")) == std::string::npos) {
      if (!Fill()) return false;
    }
    line = bytes_.substr(0, end);
    bytes_.erase(0, end + 2);
    return true;
  }
  bool Take(size_t count, std::string& to) {
    while (bytes_.size() < count) {
      if (!Fill()) return false;
    }
    to.append(bytes_, 0, count);
    bytes_.erase(0, count);
    return true;
  }

 private:
  const int fd_;
  std::string bytes_;
};

std::optional<FakeRequest> ReadRequest(Input& input) {
  std::string line;
  if (!input.TakeLine(line)) return std::nullopt;
  const std::vector<std::string> words = absl::StrSplit(line, ' ');
  if (words.size() != 3) return std::nullopt;
  FakeRequest request;
  request.method = words[0];
  request.target = words[1];
  while (input.TakeLine(line) && !line.empty()) {
    const size_t colon = line.find(':');
    if (colon == std::string::npos) return std::nullopt;
    request.headers[absl::AsciiStrToLower(line.substr(0, colon))] =
        std::string(absl::StripAsciiWhitespace(line.substr(colon + 1)));
  }
  size_t length = 0;
  if (absl::SimpleAtoi(request.Header("content-length"), &length) &&
      !input.Take(length, request.body)) {
    return std::nullopt;
  }
  return request;
}

}  // namespace

std::string FakeRequest::Header(const std::string& name) const {
  const auto found = headers.find(name);
  return found == headers.end() ? std::string() : found->second;
}

std::string FakeRequest::Query(const std::string& name) const {
  const size_t mark = target.find('?');
  if (mark == std::string::npos) return std::string();
  for (const absl::string_view part : absl::StrSplit(target.substr(mark + 1), '&')) {
    const std::pair<std::string, std::string> pair = absl::StrSplit(part, absl::MaxSplits('=', 1));
    if (pair.first == name) return Unescape(pair.second);
  }
  return std::string();
}

FakeServer::FakeServer(Handler handler) : handler_(std::move(handler)) {
  listener_ = UniqueFd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  auto* const generic = reinterpret_cast<sockaddr*>(&address);
  BERTH_CHECK(::bind(listener_.get(), generic, size) == 0);
  BERTH_CHECK(::listen(listener_.get(), 64) == 0);
  BERTH_CHECK(::getsockname(listener_.get(), generic, &size) == 0);
  port_ = ntohs(address.sin_port);
  acceptor_ = std::thread([this] { Accept(); });
}

FakeServer::~FakeServer() {
  stopping_ = true;
  ::shutdown(listener_.get(), SHUT_RDWR);
  acceptor_.join();
  std::vector<std::thread> threads;
  {
    MutexLock lock(&mutex_);
    for (const int fd : open_) ::shutdown(fd, SHUT_RDWR);
    threads.swap(threads_);
  }
  for (std::thread& thread : threads) thread.join();
}

std::string FakeServer::address() const { return absl::StrCat("127.0.0.1:", port_); }

std::vector<FakeRequest> FakeServer::requests() const {
  MutexLock lock(&mutex_);
  return requests_;
}

void FakeServer::Accept() {
  while (!stopping_) {
    const int fd = ::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) continue;
    MutexLock lock(&mutex_);
    open_.insert(fd);
    threads_.emplace_back([this, fd] { Serve(fd); });
  }
}

void FakeServer::Serve(int fd) {
  Input input(fd);
  while (const std::optional<FakeRequest> request = ReadRequest(input)) {
    FakeResponse response;
    {
      MutexLock lock(&mutex_);
      requests_.push_back(*request);
      response = handler_(*request);
    }
    if (!Answer(fd, *request, response)) break;
  }
  MutexLock lock(&mutex_);
  open_.erase(fd);
  ::close(fd);
}

bool FakeServer::Answer(int fd, const FakeRequest& request, const FakeResponse& response) {
  const auto send = [&](absl::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<size_t>(sent));
    }
    return true;
  };
  std::string head = absl::StrCat("HTTP/1.1 ", response.status, " Whatever\r\n");
  for (const auto& [name, value] : response.headers) {
    absl::StrAppend(&head, name, ": ", value, "\r\n");
  }
  if (response.chunked) {
    absl::StrAppend(&head, "Transfer-Encoding: chunked\r\n");
  } else if (!response.endless) {
    absl::StrAppend(&head, "Content-Length: ",
                    response.said_length >= 0 ? static_cast<size_t>(response.said_length)
                                              : response.body.size(),
                    "\r\n");
  }
  if (!send(head + "\r\n")) return false;
  if (request.method == "HEAD") return true;
  if (response.chunked) {
    return send(absl::StrCat(absl::Hex(response.body.size()), "\r\n", response.body,
                             response.body.empty() ? "\r\n" : "\r\n0\r\n\r\n"));
  }
  if (response.drip > absl::ZeroDuration()) {
    for (const char byte : response.body) {
      pollfd gone = {fd, POLLIN, 0};
      (void)::poll(&gone, 1, static_cast<int>(absl::ToInt64Milliseconds(response.drip)));
      if (stopping_ || !send(absl::string_view(&byte, 1))) return false;
    }
    return true;
  }
  if (response.cut_after < response.body.size()) {
    (void)send(response.body.substr(0, response.cut_after));
    // A reset, as a crashed server's kernel sends it; what was sent is given time to arrive.
    ::shutdown(fd, SHUT_WR);
    return false;
  }
  while (response.endless && !stopping_) {
    if (!send(response.body)) return false;
  }
  return send(response.body);
}

}  // namespace berth::registry::testing
