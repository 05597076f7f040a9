// One HTTP request after the other, over libcurl.
//
// Invariant: memory is bounded whatever the server sends: headers to 64 KiB, bodies of failures to
// 16 KiB, and every other body goes to the caller's sink as it comes. Nothing is followed, retried
// or authorised here (see HostClient). A transfer that stalls, or is slower than 1 KiB/s for half a
// minute, fails. Connections are kept for the next request of whoever takes the client from the
// pool. A client is thread-compatible, the pool thread-safe.
#ifndef BERTH_SERVER_REGISTRY_HTTP_CLIENT_H_
#define BERTH_SERVER_REGISTRY_HTTP_CLIENT_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/os/mutex.h"
#include "base/os/unique_fd.h"

namespace berth::registry {

struct HttpHeader {
  std::string name;
  std::string value;
};
using HttpHeaders = std::vector<HttpHeader>;

// What a connection needs beside the URL. Compared by value where connections are reused.
struct HttpConnection {
  std::string authorities;  // PEM, beside the system's
  std::string certificate;  // PEM of the client
  std::string key;
  enum class Verify { kYes, kNo } verify = Verify::kYes;
  absl::Duration dial_timeout = absl::Seconds(30);
  // A transfer that is slower than 1 KiB/s for so long, in whole seconds, fails.
  absl::Duration stall_timeout = absl::Seconds(30);
};

struct HttpRequest {
  std::string method = "GET";
  std::string url;
  HttpHeaders headers;
  // The body of POST, PUT and PATCH: `body`, or a part of a file.
  std::string body;
  int body_file = -1;  // borrowed
  uint64_t body_offset = 0;
  uint64_t body_length = 0;
  absl::Duration timeout = absl::InfiniteDuration();  // of the whole request
};

struct HttpResponse {
  int status = 0;
  HttpHeaders headers;
  std::string error_body;  // the beginning of the body, where status is not 2xx

  // The first value; empty where there is none. Names are compared without case.
  absl::string_view Header(absl::string_view name) const;
  std::vector<absl::string_view> AllOf(absl::string_view name) const;
  bool IsSuccess() const { return status >= 200 && status < 300; }
};

// How the caller watches one request.
struct HttpObserver {
  // The status and headers of a 2xx answer, before its body; an error ends the request with it.
  absl::FunctionRef<absl::Status(const HttpResponse&)> on_headers;
  // The body of a 2xx answer.
  absl::FunctionRef<absl::Status(absl::string_view)> on_body;
  // So many bytes of our body are sent.
  absl::FunctionRef<void(uint64_t)> on_sent;
};

class HttpClient {
 public:
  HttpClient();
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  // Any status is an answer. Errors: UNAVAILABLE (no connection, cut, too slow);
  // FAILED_PRECONDITION (the server's certificate is not trusted, or ours is unusable);
  // INVALID_ARGUMENT (malformed URL or answer); CANCELLED; those of the observer. Blocks.
  absl::StatusOr<HttpResponse> Do(const HttpRequest& request, const HttpConnection& connection,
                                  const HttpObserver& observer, const std::atomic<bool>& cancelled);

 private:
  struct Exchange;
  void* const handle_;  // CURL
};

// Idle clients with their open connections.
class HttpPool {
 public:
  static constexpr size_t kMaxIdle = 16;
  class Lease {
   public:
    Lease(HttpPool& pool, std::unique_ptr<HttpClient> client)
        : pool_(&pool), client_(std::move(client)) {}
    Lease(Lease&&) = default;
    Lease& operator=(Lease&&) = delete;
    ~Lease() {
      if (client_ != nullptr) pool_->GiveBack(std::move(client_));
    }
    HttpClient* operator->() const { return client_.get(); }

   private:
    HttpPool* pool_;
    std::unique_ptr<HttpClient> client_;
  };
  Lease Take();

 private:
  void GiveBack(std::unique_ptr<HttpClient> client);
  Mutex mutex_;
  std::vector<std::unique_ptr<HttpClient>> idle_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace berth::registry

#endif  // BERTH_SERVER_REGISTRY_HTTP_CLIENT_H_
