// What an answer that is no success means.
//
// Pure functions.
#ifndef BERTH_SERVER_REGISTRY_REGISTRY_ERROR_H_
#define BERTH_SERVER_REGISTRY_REGISTRY_ERROR_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "server/registry/http_client.h"

namespace berth::registry {

// The registry's own words ({"errors":[{"code","message"}]}), shortened, without control
// characters; or the first line of a plain body.
std::string ErrorText(absl::string_view body);
// UNAUTHENTICATED, PERMISSION_DENIED, NOT_FOUND, RESOURCE_EXHAUSTED (429), UNAVAILABLE (5xx),
// INVALID_ARGUMENT (another 4xx) ...; `what` says what was asked of whom.
absl::Status ErrorOf(const HttpResponse& response, absl::string_view what);
// Whether the same request may succeed a little later.
bool IsTransient(int status);
// Retry-After in seconds or as a date; ZeroDuration where there is none.
absl::Duration RetryAfter(const HttpResponse& response, absl::Time now);

}  // namespace berth::registry

#endif  // BERTH_SERVER_REGISTRY_REGISTRY_ERROR_H_
