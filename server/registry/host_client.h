// Requests to one host that serves a registry: with authentication, redirects and retries.
//
// Invariant: credentials, client certificates and configured headers are sent to this host and port
// only, wherever redirects lead; a redirect from https to http is refused; at most kMaxRedirects
// are followed. A request that may be repeated is, a few times, after what Retry-After says or a
// growing pause. Thread-compatible; made for one job. Borrows the session.
#ifndef BERTH_SERVER_REGISTRY_HOST_CLIENT_H_
#define BERTH_SERVER_REGISTRY_HOST_CLIENT_H_

#include <atomic>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "proto/berth/worker/v1/worker.pb.h"
#include "server/registry/http_client.h"
#include "server/registry/session.h"
#include "server/registry/token_client.h"
#include "server/registry/url.h"

namespace berth::registry {

struct HostRequest {
  HttpRequest http;  // its url is filled in
  // Below the host's base ("/a/manifests/b"); or a full URL; or "//" and a URL relative to the
  // host.
  std::string path;
  std::vector<std::string> scopes;
  enum class Retry { kYes, kNo } retry = Retry::kYes;
};

class HostClient {
 public:
  static constexpr int kMaxRedirects = 10;
  static constexpr int kAttempts = 5;
  // Where another host can be asked instead.
  static constexpr int kFewAttempts = 2;

  // `registry`: whose repositories the host serves.
  HostClient(const worker::v1::Host& host, std::string registry, Session& session,
             const std::atomic<bool>& cancelled);

  const std::string& name() const { return host_.host(); }
  const std::string& registry() const { return registry_; }
  const worker::v1::Host& host() const { return host_; }
  const std::atomic<bool>& cancelled() const { return cancelled_; }
  // How often what fails for the moment is tried in a row; kAttempts at first.
  int attempts() const { return attempts_; }
  void set_attempts(int attempts) { attempts_ = attempts; }
  // The name of a repository here, after the host's rewrites.
  std::string RepositoryHere(absl::string_view repository) const;

  // Any status but 401 and redirects may come back; transient ones only after all attempts.
  // `observer` sees the last answer's body only, and only of a 2xx. Errors: those of HttpClient;
  // UNAUTHENTICATED; FAILED_PRECONDITION for a refused redirect. Blocks.
  absl::StatusOr<HttpResponse> Do(const HostRequest& request, const HttpObserver& observer);
  // The same, with a body that is small. Errors: also INVALID_ARGUMENT when it is longer than
  // `max_bytes`.
  struct Answer {
    HttpResponse response;
    std::string body;
  };
  absl::StatusOr<Answer> DoSmall(const HostRequest& request, size_t max_bytes);

  // Whether the host takes the credentials; says also whether it gave an identity token.
  absl::StatusOr<std::string> CheckLogin();
  // Waits, unless cancelled meanwhile. Blocks.
  absl::Status Pause(absl::Duration duration) const;

 private:
  absl::StatusOr<Url> BaseUrl(absl::string_view scheme) const;
  absl::StatusOr<Url> UrlOf(const HostRequest& request, const Url& base) const;
  absl::StatusOr<HttpResponse> Once(const HostRequest& request, const HttpObserver& observer);
  absl::StatusOr<HttpResponse> OnceBy(absl::string_view scheme, const HostRequest& request,
                                      const HttpObserver& observer);
  // The value of Authorization for what the host asked; empty where nothing helps.
  absl::StatusOr<std::string> Authorize(const Challenge& challenge, const HostRequest& request,
                                        const Url& base);
  absl::StatusOr<Url> FollowRedirect(const Url& from, const HttpResponse& response) const;
  std::string TokenKey(const Challenge& challenge, const std::vector<std::string>& scopes) const;

  const worker::v1::Host& host_;
  const std::string registry_;
  Session& session_;
  const std::atomic<bool>& cancelled_;
  HttpConnection connection_;
  HttpPool::Lease client_;
  int attempts_ = kAttempts;
  std::string identity_token_;
  TokenRequest::Identity identity_ = TokenRequest::Identity::kNo;
};

}  // namespace berth::registry

#endif  // BERTH_SERVER_REGISTRY_HOST_CLIENT_H_
