// Gets bearer tokens from the server that a registry names (Docker's token authentication, and its
// OAuth2 form for identity tokens).
//
// Thread-compatible; made for one request.
#ifndef BERTH_SERVER_REGISTRY_TOKEN_CLIENT_H_
#define BERTH_SERVER_REGISTRY_TOKEN_CLIENT_H_

#include <atomic>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "proto/berth/worker/v1/worker.pb.h"
#include "server/registry/challenge.h"
#include "server/registry/http_client.h"
#include "server/registry/url.h"

namespace berth::registry {

struct BearerToken {
  std::string text;
  absl::Time end;
  std::string identity_token;  // where one was asked for and given
};

struct TokenRequest {
  Challenge challenge;  // scheme "bearer"
  std::vector<std::string> scopes;
  worker::v1::Credentials credentials;
  enum class Identity { kNo, kWanted } identity = Identity::kNo;
  Url registry;  // who named the token server
};

// Errors: UNAUTHENTICATED when the credentials are refused; FAILED_PRECONDITION for a token server
// that may not see them (plain http elsewhere); INVALID_ARGUMENT for an answer without a token;
// those of HttpClient. Blocks.
absl::StatusOr<BearerToken> FetchToken(const TokenRequest& request, HttpClient& client,
                                       const HttpConnection& connection,
                                       const std::atomic<bool>& cancelled);

// "Basic ..." for a user name and password.
std::string BasicAuthorization(const worker::v1::Credentials& credentials);

}  // namespace berth::registry

#endif  // BERTH_SERVER_REGISTRY_TOKEN_CLIENT_H_
