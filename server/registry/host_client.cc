#include "server/registry/host_client.h"

#include <re2/re2.h>

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/os/mutex.h"
#include "base/status/status_macros.h"
#include "server/registry/registry_error.h"

namespace berth::registry {
namespace {

constexpr absl::Duration kFirstPause = absl::Milliseconds(250);
constexpr absl::Duration kLongestPause = absl::Seconds(60);
constexpr absl::Duration kLook = absl::Milliseconds(100);
constexpr absl::Duration kSmallTimeout = absl::Seconds(60);
constexpr int kMaxRefusals = 2;  // a token that had ended, and the one that was got instead

HttpConnection ConnectionOf(const worker::v1::Host& host) {
  HttpConnection connection;
  connection.authorities = host.tls().authorities();
  if (host.tls().client_certificates_size() > 0) {
    connection.certificate = host.tls().client_certificates(0).certificate();
    connection.key = host.tls().client_certificates(0).key();
  }
  if (host.tls().skip_verify()) connection.verify = HttpConnection::Verify::kNo;
  if (host.dial_timeout_seconds() > 0) {
    connection.dial_timeout = absl::Seconds(host.dial_timeout_seconds());
  }
  return connection;
}

bool IsRedirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

// Bearer before Basic, whatever the order: a registry that offers both prefers tokens.
const Challenge* Choose(const std::vector<Challenge>& challenges) {
  for (const char* scheme : {"bearer", "basic"}) {
    for (const Challenge& challenge : challenges) {
      if (challenge.scheme == scheme) return &challenge;
    }
  }
  return nullptr;
}

std::vector<std::string> ScopesFor(const Challenge& challenge,
                                   const std::vector<std::string>& wanted) {
  std::vector<std::string> scopes = wanted;
  const auto asked = challenge.parameters.find("scope");
  if (asked != challenge.parameters.end()) {
    for (absl::string_view scope : absl::StrSplit(asked->second, ' ', absl::SkipEmpty())) {
      scopes.emplace_back(scope);
    }
  }
  std::sort(scopes.begin(), scopes.end());
  scopes.erase(std::unique(scopes.begin(), scopes.end()), scopes.end());
  return scopes;
}

// "$1" as hosts.toml has it, "\1" as RE2 has it.
std::string Re2Replacement(absl::string_view text) {
  std::string replacement;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool digit_follows = i + 1 < text.size() && text[i + 1] >= '0' && text[i + 1] <= '9';
    replacement.push_back(text[i] == '$' && digit_follows ? '\\' : text[i]);
  }
  return replacement;
}

}  // namespace

HostClient::HostClient(const worker::v1::Host& host, std::string registry, Session& session,
                       const std::atomic<bool>& cancelled)
    : host_(host),
      registry_(std::move(registry)),
      session_(session),
      cancelled_(cancelled),
      connection_(ConnectionOf(host)),
      client_(session.pool().Take()) {
  connection_.stall_timeout = session.stall_timeout();
}

std::string HostClient::RepositoryHere(absl::string_view repository) const {
  std::string here(repository);
  for (const worker::v1::Rewrite& rewrite : host_.rewrites()) {
    if (RE2::Replace(&here, rewrite.pattern(), Re2Replacement(rewrite.replacement()))) break;
  }
  return here;
}

absl::StatusOr<Url> HostClient::BaseUrl(absl::string_view scheme) const {
  const std::string& path = host_.path();
  return ParseUrl(absl::StrCat(scheme, "://", host_.host(), path.empty() ? "/v2" : path));
}

absl::StatusOr<Url> HostClient::UrlOf(const HostRequest& request, const Url& base) const {
  if (absl::StartsWith(request.path, "http://") || absl::StartsWith(request.path, "https://")) {
    return ParseUrl(request.path);
  }
  // A Location relative to the host.
  if (absl::StartsWith(request.path, "//")) {
    return ResolveUrl(base, absl::string_view(request.path).substr(2));
  }
  std::string text = absl::StrCat(absl::StripSuffix(base.text, "/"), request.path);
  if (host_.is_mirror()) {
    absl::StrAppend(&text, absl::StrContains(text, '?') ? "&" : "?", "ns=", EscapeQuery(registry_));
  }
  return ParseUrl(text);
}

absl::Status HostClient::Pause(absl::Duration duration) const {
  const absl::Time end = absl::Now() + duration;
  Notification never;
  while (absl::Now() < end) {
    if (cancelled_.load(std::memory_order_relaxed)) return absl::CancelledError("cancelled");
    never.WaitForNotificationWithTimeout(std::min(kLook, end - absl::Now()));
  }
  return absl::OkStatus();
}

absl::StatusOr<HttpResponse> HostClient::Do(const HostRequest& request,
                                            const HttpObserver& observer) {
  absl::Duration pause = kFirstPause;
  for (int attempt = 1;; ++attempt) {
    absl::StatusOr<HttpResponse> response = Once(request, observer);
    const bool transient =
        response.ok() ? IsTransient(response->status) : absl::IsUnavailable(response.status());
    if (!transient || attempt == attempts_ || request.retry == HostRequest::Retry::kNo) {
      return response;
    }
    absl::Duration wait = pause;
    if (response.ok()) wait = std::max(wait, RetryAfter(*response, absl::Now()));
    if (wait > kLongestPause) return response;
    BERTH_RETURN_IF_ERROR(Pause(wait));
    pause *= 2;
  }
}

absl::StatusOr<HttpResponse> HostClient::Once(const HostRequest& request,
                                              const HttpObserver& observer) {
  std::string scheme = host_.scheme();
  if (scheme.empty()) scheme = session_.FindScheme(host_.host());
  if (!scheme.empty()) return OnceBy(scheme, request, observer);
  absl::StatusOr<HttpResponse> response = OnceBy("https", request, observer);
  if (response.ok() || !absl::IsUnavailable(response.status()) || !IsLoopbackHost(host_.host())) {
    return response;
  }
  absl::StatusOr<HttpResponse> plain = OnceBy("http", request, observer);
  if (plain.ok()) session_.PutScheme(host_.host(), "http");
  return plain;
}

absl::StatusOr<HttpResponse> HostClient::OnceBy(absl::string_view scheme,
                                                const HostRequest& request,
                                                const HttpObserver& observer) {
  BERTH_ASSIGN_OR_RETURN(const Url base, BaseUrl(scheme), _ << "host " << host_.host());
  BERTH_ASSIGN_OR_RETURN(Url url, UrlOf(request, base));
  std::string authorization;
  if (const auto known = session_.FindChallenge(base.text); known.has_value()) {
    BERTH_ASSIGN_OR_RETURN(authorization, Authorize(*known, request, base));
  }
  int refusals = 0;
  for (int redirects = 0;;) {
    HttpRequest http = request.http;
    http.url = url.text;
    HttpConnection connection = connection_;
    if (url.SameOrigin(base)) {
      for (const worker::v1::Header& header : host_.headers()) {
        for (const std::string& value : header.values())
          http.headers.push_back({header.name(), value});
      }
      if (!authorization.empty()) http.headers.push_back({"Authorization", authorization});
    } else {
      connection.certificate.clear();
    }
    BERTH_ASSIGN_OR_RETURN(HttpResponse response,
                           client_->Do(http, connection, observer, cancelled_));
    if (IsRedirect(response.status)) {
      if (++redirects > kMaxRedirects) {
        return absl::FailedPreconditionError(absl::StrCat(
            host_.host(), " redirects in circles: more than ", kMaxRedirects, " redirects"));
      }
      BERTH_ASSIGN_OR_RETURN(url, FollowRedirect(url, response));
      continue;
    }
    if (response.status != 401 || !url.SameOrigin(base) || ++refusals > kMaxRefusals) {
      return response;
    }
    std::vector<Challenge> challenges;
    for (absl::string_view value : response.AllOf("WWW-Authenticate")) {
      for (Challenge& challenge : ParseChallenges(value))
        challenges.push_back(std::move(challenge));
    }
    const Challenge* const challenge = Choose(challenges);
    if (challenge == nullptr) return response;
    session_.DropToken(TokenKey(*challenge, ScopesFor(*challenge, request.scopes)));
    BERTH_ASSIGN_OR_RETURN(std::string next, Authorize(*challenge, request, base));
    // Basic credentials do not become better by being sent again.
    if (next.empty() || (challenge->scheme == "basic" && next == authorization)) return response;
    authorization = std::move(next);
    Challenge kept = *challenge;
    kept.parameters.erase("scope");  // each request brings its own
    kept.parameters.erase("error");
    session_.PutChallenge(base.text, std::move(kept));
  }
}

std::string HostClient::TokenKey(const Challenge& challenge,
                                 const std::vector<std::string>& scopes) const {
  const auto parameter = [&](const char* name) {
    const auto found = challenge.parameters.find(name);
    return found == challenge.parameters.end() ? std::string() : found->second;
  };
  const worker::v1::Credentials& credentials = host_.credentials();
  return absl::StrJoin(
      {host_.host(), parameter("realm"), parameter("service"), absl::StrJoin(scopes, " "),
       credentials.username(), credentials.secret(), credentials.identity_token()},
      "\n");
}

absl::StatusOr<std::string> HostClient::Authorize(const Challenge& challenge,
                                                  const HostRequest& request, const Url& base) {
  const worker::v1::Credentials& credentials = host_.credentials();
  if (!credentials.access_token().empty()) {
    return absl::StrCat("Bearer ", credentials.access_token());
  }
  if (challenge.scheme == "basic") {
    return credentials.username().empty() ? std::string() : BasicAuthorization(credentials);
  }
  TokenRequest ask;
  ask.challenge = challenge;
  ask.scopes = ScopesFor(challenge, request.scopes);
  ask.credentials = credentials;
  ask.identity = identity_;
  ask.registry = base;
  const std::string key = TokenKey(challenge, ask.scopes);
  const bool asks_identity = identity_ == TokenRequest::Identity::kWanted;  // not in the cache
  if (auto token = session_.FindToken(key, absl::Now()); token.has_value() && !asks_identity) {
    return absl::StrCat("Bearer ", *token);
  }
  HttpConnection connection = connection_;
  const auto realm = challenge.parameters.find("realm");
  const auto url = realm != challenge.parameters.end() ? ResolveUrl(base, realm->second)
                                                       : absl::StatusOr<Url>(base);
  if (!url.ok() || !url->SameOrigin(base)) connection.certificate.clear();
  absl::Duration pause = kFirstPause;
  for (int attempt = 1;; ++attempt) {
    HttpPool::Lease client = session_.pool().Take();
    absl::StatusOr<BearerToken> token =
        FetchToken(ask, *client.operator->(), connection, cancelled_);
    if (token.ok()) {
      session_.PutToken(key, token->text, token->end);
      identity_token_ = token->identity_token;
      return absl::StrCat("Bearer ", token->text);
    }
    if (!absl::IsUnavailable(token.status()) || attempt == attempts_) return token.status();
    BERTH_RETURN_IF_ERROR(Pause(pause));
    pause *= 2;
  }
}

absl::StatusOr<Url> HostClient::FollowRedirect(const Url& from,
                                               const HttpResponse& response) const {
  BERTH_ASSIGN_OR_RETURN(Url to, ResolveUrl(from, response.Header("Location")),
                         _ << host_.host() << " redirects");
  if (from.scheme == "https" && to.scheme == "http") {
    return absl::FailedPreconditionError(
        absl::StrCat(from.host, " redirects from https to http (", to.host,
                     "), which would show to everybody what is fetched; refused"));
  }
  return to;
}

absl::StatusOr<HostClient::Answer> HostClient::DoSmall(const HostRequest& request,
                                                       size_t max_bytes) {
  Answer answer;
  const auto on_headers = [&](const HttpResponse&) {
    answer.body.clear();
    return absl::OkStatus();
  };
  const auto on_body = [&](absl::string_view bytes) {
    if (answer.body.size() + bytes.size() > max_bytes) {
      return absl::InvalidArgumentError(absl::StrCat(host_.host(), " answers ", request.path,
                                                     " with more than ", max_bytes, " bytes"));
    }
    answer.body.append(bytes.data(), bytes.size());
    return absl::OkStatus();
  };
  const auto on_sent = [](uint64_t) {};
  HostRequest bounded = request;
  bounded.http.timeout = kSmallTimeout;
  BERTH_ASSIGN_OR_RETURN(answer.response, Do(bounded, {on_headers, on_body, on_sent}));
  return answer;
}

absl::StatusOr<std::string> HostClient::CheckLogin() {
  identity_ = TokenRequest::Identity::kWanted;
  HostRequest request;
  request.path = "/";
  BERTH_ASSIGN_OR_RETURN(const Answer answer, DoSmall(request, 1 << 20));
  if (!answer.response.IsSuccess()) {
    return ErrorOf(answer.response, absl::StrCat("log in to ", host_.host()));
  }
  return identity_token_;
}

}  // namespace berth::registry
