#include "server/registry/registry_error.h"

#include <algorithm>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/json/document.h"

namespace berth::registry {
namespace {

constexpr size_t kMaxText = 300;

std::string Clean(absl::string_view text) {
  std::string clean(text.substr(0, kMaxText));
  for (char& c : clean) {
    if (absl::ascii_iscntrl(c)) c = ' ';
  }
  return std::string(absl::StripAsciiWhitespace(clean));
}

}  // namespace

std::string ErrorText(absl::string_view body) {
  const auto document = json::Document::Parse(std::string(body));
  if (!document.ok()) {
    const absl::string_view line = body.substr(0, body.find('\n'));
    return absl::StrContains(line, '<') ? std::string() : Clean(line);  // a page for browsers
  }
  for (const auto& member : document->root().Find("errors")) {
    const absl::string_view code = member.value().Find("code").text();
    const absl::string_view message = member.value().Find("message").text();
    if (code.empty() && message.empty()) continue;
    return Clean(absl::StrCat(code, code.empty() || message.empty() ? "" : ": ", message));
  }
  for (const char* name : {"details", "message", "error_description", "error"}) {
    const json::Value value = document->root().Find(name);
    if (value.kind() == json::Kind::kString) return Clean(value.text());
  }
  return std::string();
}

absl::Status ErrorOf(const HttpResponse& response, absl::string_view what) {
  const std::string text = ErrorText(response.error_body);
  const std::string message =
      absl::StrCat(what, ": HTTP ", response.status, text.empty() ? "" : ": ", text);
  switch (response.status) {
    case 401:
      return absl::UnauthenticatedError(
          absl::StrCat(message, "; log in to the registry, or check the credentials"));
    case 403:
      return absl::PermissionDeniedError(
          absl::StrCat(message, "; the account may not do this there"));
    case 404:
      return absl::NotFoundError(message);
    case 408:
    case 425:
      return absl::UnavailableError(message);
    case 409:
      return absl::AbortedError(message);
    case 413:
    case 507:
      return absl::ResourceExhaustedError(absl::StrCat(message, "; the registry takes no more"));
    case 416:
      return absl::OutOfRangeError(message);
    case 429:
      return absl::ResourceExhaustedError(absl::StrCat(
          message, "; the registry limits how often it may be asked: wait, or log in"));
    case 405:
    case 501:
      return absl::UnimplementedError(message);
    default:
      break;
  }
  if (response.status >= 500) return absl::UnavailableError(message);
  if (response.status >= 400) return absl::InvalidArgumentError(message);
  return absl::InternalError(absl::StrCat(message, ": this answer was not expected"));
}

bool IsTransient(int status) {
  return status == 408 || status == 425 || status == 429 || status == 500 || status == 502 ||
         status == 503 || status == 504;
}

absl::Duration RetryAfter(const HttpResponse& response, absl::Time now) {
  const absl::string_view value = response.Header("Retry-After");
  int64_t seconds = 0;
  if (absl::SimpleAtoi(value, &seconds)) {
    return absl::Seconds(std::max<int64_t>(0, std::min<int64_t>(seconds, 86400)));
  }
  absl::Time at;
  if (absl::ParseTime("%a, %d %b %Y %H:%M:%S GMT", value, &at, nullptr)) {
    return std::max(absl::ZeroDuration(), at - now);
  }
  return absl::ZeroDuration();
}

}  // namespace berth::registry
