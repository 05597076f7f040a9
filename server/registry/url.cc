#include "server/registry/url.h"

#include <curl/curl.h>

#include <memory>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace berth::registry {
namespace {

constexpr size_t kMaxUrlLength = 16 * 1024;

struct UrlFree {
  void operator()(CURLU* url) const { curl_url_cleanup(url); }
};
using Handle = std::unique_ptr<CURLU, UrlFree>;

std::string PartOf(CURLU* url, CURLUPart part, unsigned flags) {
  char* text = nullptr;
  if (curl_url_get(url, part, &text, flags) != CURLUE_OK) return {};
  std::string copy = text;
  curl_free(text);
  return copy;
}

absl::StatusOr<Url> Take(CURLU* handle, absl::string_view text) {
  Url url;
  url.scheme = PartOf(handle, CURLUPART_SCHEME, 0);
  url.host = absl::AsciiStrToLower(PartOf(handle, CURLUPART_HOST, 0));
  url.port = PartOf(handle, CURLUPART_PORT, CURLU_DEFAULT_PORT);
  url.text = PartOf(handle, CURLUPART_URL, 0);
  if ((url.scheme != "http" && url.scheme != "https") || url.host.empty() || url.text.empty()) {
    return absl::InvalidArgumentError(absl::StrCat("\"", text, "\" is no http or https URL"));
  }
  if (!PartOf(handle, CURLUPART_USER, 0).empty()) {
    return absl::InvalidArgumentError("a URL with a user name in it is refused");
  }
  return url;
}

}  // namespace

bool Url::SameOrigin(const Url& other) const {
  return scheme == other.scheme && host == other.host && port == other.port;
}

bool Url::IsLoopback() const { return IsLoopbackHost(host); }

absl::StatusOr<Url> ParseUrl(absl::string_view text) {
  if (text.size() > kMaxUrlLength) return absl::InvalidArgumentError("a URL is too long");
  const Handle handle(curl_url());
  if (curl_url_set(handle.get(), CURLUPART_URL, std::string(text).c_str(), 0) != CURLUE_OK) {
    return absl::InvalidArgumentError(absl::StrCat("\"", text, "\" is no URL"));
  }
  return Take(handle.get(), text);
}

absl::StatusOr<Url> ResolveUrl(const Url& base, absl::string_view location) {
  if (location.empty()) return absl::InvalidArgumentError("a redirect does not say where to");
  if (location.size() > kMaxUrlLength) return absl::InvalidArgumentError("a URL is too long");
  const Handle handle(curl_url());
  if (curl_url_set(handle.get(), CURLUPART_URL, base.text.c_str(), 0) != CURLUE_OK ||
      curl_url_set(handle.get(), CURLUPART_URL, std::string(location).c_str(), 0) != CURLUE_OK) {
    return absl::InvalidArgumentError(absl::StrCat("\"", location, "\" is no URL"));
  }
  return Take(handle.get(), location);
}

bool IsLoopbackHost(absl::string_view host) {
  if (absl::StartsWith(host, "[")) return absl::StartsWith(host, "[::1]");
  const absl::string_view name = host.substr(0, host.find(':'));
  if (name == "localhost") return true;
  // An address, not a name that only begins like one.
  return absl::StartsWith(name, "127.") && name.find_first_not_of("0123456789.") == name.npos;
}

std::string EscapeQuery(absl::string_view text) {
  std::string escaped;
  for (const char c : text) {
    if (absl::ascii_isalnum(c) || c == '-' || c == '.' || c == '_' || c == '~') {
      escaped.push_back(c);
    } else {
      absl::StrAppend(&escaped, "%",
                      absl::AsciiStrToUpper(
                          absl::StrCat(absl::Hex(static_cast<unsigned char>(c), absl::kZeroPad2))));
    }
  }
  return escaped;
}

}  // namespace berth::registry
