#include "server/registry/token_client.h"

#include <algorithm>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/json/document.h"
#include "base/status/status_macros.h"
#include "server/registry/registry_error.h"

namespace berth::registry {
namespace {

constexpr absl::Duration kTimeout = absl::Seconds(60);
constexpr size_t kMaxAnswer = 1 << 20;
constexpr int64_t kDefaultSeconds = 60;  // where the server does not say
constexpr int64_t kMaxSeconds = 24 * 3600;

std::string Parameter(const Challenge& challenge, const char* name) {
  const auto found = challenge.parameters.find(name);
  return found == challenge.parameters.end() ? std::string() : found->second;
}

// A password may go in the clear only to this machine, or where the registry itself is plain.
absl::Status CheckRealm(const Url& realm, const TokenRequest& request) {
  const bool anonymous =
      request.credentials.username().empty() && request.credentials.identity_token().empty();
  if (anonymous || realm.scheme == "https" || realm.IsLoopback()) return absl::OkStatus();
  if (request.registry.scheme == "http" && request.registry.host == realm.host) {
    return absl::OkStatus();
  }
  return absl::FailedPreconditionError(
      absl::StrCat("the token server ", realm.text, " named by ", request.registry.host,
                   " would get the credentials over plain http; nothing was sent"));
}

HttpRequest MakeRequest(const Url& realm, const TokenRequest& request) {
  const std::string service = Parameter(request.challenge, "service");
  HttpRequest http;
  http.timeout = kTimeout;
  http.headers.push_back({"Accept", "application/json"});
  const worker::v1::Credentials& credentials = request.credentials;
  if (!credentials.identity_token().empty()) {
    http.method = "POST";
    http.url = realm.text;
    http.headers.push_back({"Content-Type", "application/x-www-form-urlencoded"});
    http.body =
        absl::StrCat("grant_type=refresh_token&service=", EscapeQuery(service),
                     "&client_id=berth&scope=", EscapeQuery(absl::StrJoin(request.scopes, " ")),
                     "&refresh_token=", EscapeQuery(credentials.identity_token()));
    return http;
  }
  http.url = realm.text;
  const char* separator = absl::StrContains(realm.text, '?') ? "&" : "?";
  const auto add = [&](absl::string_view name, absl::string_view value) {
    absl::StrAppend(&http.url, std::exchange(separator, "&"), name, "=", EscapeQuery(value));
  };
  if (!service.empty()) add("service", service);
  for (const std::string& scope : request.scopes) add("scope", scope);
  if (!credentials.username().empty()) {
    add("account", credentials.username());
    http.headers.push_back({"Authorization", BasicAuthorization(credentials)});
  }
  if (request.identity == TokenRequest::Identity::kWanted) {
    add("client_id", "berth");
    add("offline_token", "true");
  }
  return http;
}

absl::StatusOr<BearerToken> ParseToken(std::string answer, const Url& realm) {
  const auto document = json::Document::Parse(std::move(answer));
  if (!document.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("the token server ", realm.text, " does not answer with JSON"));
  }
  const json::Value root = document->root();
  BearerToken token;
  token.text = std::string(root.Find("token").text());
  if (token.text.empty()) token.text = std::string(root.Find("access_token").text());
  // A token goes into a header: it may not bring headers of its own.
  const bool usable = !token.text.empty() && std::all_of(token.text.begin(), token.text.end(),
                                                         [](char c) { return c > ' ' && c < 127; });
  if (!usable) {
    return absl::InvalidArgumentError(
        absl::StrCat("the token server ", realm.text, " answers without a usable token"));
  }
  const int64_t seconds = root.Find("expires_in").AsInt64().value_or(kDefaultSeconds);
  // Not to its last moment: a request takes a while to arrive.
  const int64_t lifetime = std::clamp<int64_t>(seconds, 0, kMaxSeconds);
  token.end = absl::Now() + absl::Seconds(lifetime - lifetime / 10);
  token.identity_token = std::string(root.Find("refresh_token").text());
  return token;
}

}  // namespace

std::string BasicAuthorization(const worker::v1::Credentials& credentials) {
  return absl::StrCat("Basic ", absl::Base64Escape(absl::StrCat(credentials.username(), ":",
                                                                credentials.secret())));
}

absl::StatusOr<BearerToken> FetchToken(const TokenRequest& request, HttpClient& client,
                                       const HttpConnection& connection,
                                       const std::atomic<bool>& cancelled) {
  BERTH_ASSIGN_OR_RETURN(const Url realm,
                         ResolveUrl(request.registry, Parameter(request.challenge, "realm")),
                         _ << "the token server that " << request.registry.host << " names");
  BERTH_RETURN_IF_ERROR(CheckRealm(realm, request));
  std::string answer;
  const auto on_headers = [](const HttpResponse&) { return absl::OkStatus(); };
  const auto on_body = [&](absl::string_view bytes) {
    if (answer.size() + bytes.size() > kMaxAnswer) {
      return absl::InvalidArgumentError("the token server's answer does not end");
    }
    answer.append(bytes.data(), bytes.size());
    return absl::OkStatus();
  };
  const auto on_sent = [](uint64_t) {};
  BERTH_ASSIGN_OR_RETURN(const HttpResponse response,
                         client.Do(MakeRequest(realm, request), connection,
                                   {on_headers, on_body, on_sent}, cancelled));
  if (!response.IsSuccess()) {
    const absl::Status error = ErrorOf(response, absl::StrCat("get a token from ", realm.host));
    // Token servers say "forbidden" for wrong passwords as well.
    if (response.status == 400 || response.status == 403) {
      return absl::UnauthenticatedError(error.message());
    }
    return error;
  }
  return ParseToken(std::move(answer), realm);
}

}  // namespace berth::registry
