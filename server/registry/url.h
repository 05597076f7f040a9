// The parts of an http or https URL that matter for who may see what.
//
// Immutable value. Pure functions.
#ifndef BERTH_SERVER_REGISTRY_URL_H_
#define BERTH_SERVER_REGISTRY_URL_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace berth::registry {

struct Url {
  std::string scheme;  // "http" or "https"
  std::string host;    // without port; an IPv6 address in brackets
  std::string port;    // never empty: 80 or 443 where it is left out
  std::string text;    // the whole

  // Same scheme, host and port: what may see the same credentials.
  bool SameOrigin(const Url& other) const;
  bool IsLoopback() const;
};

// Errors: INVALID_ARGUMENT for anything but an http(s) URL; one with a user name in it is refused.
absl::StatusOr<Url> ParseUrl(absl::string_view text);
// A redirect or Location: absolute, or relative to `base`.
absl::StatusOr<Url> ResolveUrl(const Url& base, absl::string_view location);
// "localhost", 127.0.0.0/8, [::1]; `host` may have a port.
bool IsLoopbackHost(absl::string_view host);
// As a part of a query.
std::string EscapeQuery(absl::string_view text);

}  // namespace berth::registry

#endif  // BERTH_SERVER_REGISTRY_URL_H_
