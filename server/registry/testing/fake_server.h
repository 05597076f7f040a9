// A small HTTP/1.1 server on loopback, in this process, that can misbehave.
//
// One thread a connection. Stops, and joins them all, when it is destroyed. Thread-safe; the
// handler is called from many threads, one at a time. Owned by a test.
#ifndef BERTH_SERVER_REGISTRY_TESTING_FAKE_SERVER_H_
#define BERTH_SERVER_REGISTRY_TESTING_FAKE_SERVER_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"
#include "base/os/mutex.h"
#include "base/os/unique_fd.h"

namespace berth::registry::testing {

struct FakeRequest {
  std::string method;
  std::string target;                          // path and query
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;

  std::string Header(const std::string& name) const;
  std::string path() const { return target.substr(0, target.find('?')); }
  // The value of `name` in the query, unescaped.
  std::string Query(const std::string& name) const;
};

struct FakeResponse {
  int status = 200;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
  // Misbehaviour.
  int64_t said_length = -1;              // Content-Length, where it is not the body's
  size_t cut_after = std::string::npos;  // the connection is reset after so much of the body
  bool chunked = false;
  bool endless = false;  // the body is repeated for ever
  absl::Duration drip;   // a pause after each byte
};

class FakeServer {
 public:
  using Handler = std::function<FakeResponse(const FakeRequest&)>;
  explicit FakeServer(Handler handler);
  ~FakeServer();
  FakeServer(const FakeServer&) = delete;
  FakeServer& operator=(const FakeServer&) = delete;

  std::string address() const;  // 127.0.0.1:port
  std::vector<FakeRequest> requests() const;

 private:
  void Accept();
  void Serve(int fd);
  // False when the connection is to be closed.
  bool Answer(int fd, const FakeRequest& request, const FakeResponse& response);

  const Handler handler_;
  UniqueFd listener_;
  uint16_t port_ = 0;
  std::atomic<bool> stopping_{false};
  mutable Mutex mutex_;
  std::vector<FakeRequest> requests_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::thread> threads_ ABSL_GUARDED_BY(mutex_);
  std::set<int> open_ ABSL_GUARDED_BY(mutex_);
  std::thread acceptor_;
};

}  // namespace berth::registry::testing

#endif  // BERTH_SERVER_REGISTRY_TESTING_FAKE_SERVER_H_
