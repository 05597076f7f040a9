// What a registry asks for with a 401: WWW-Authenticate (RFC 9110, section 11.6.1).
//
// Pure function over foreign bytes.
#ifndef BERTH_SERVER_REGISTRY_CHALLENGE_H_
#define BERTH_SERVER_REGISTRY_CHALLENGE_H_

#include <map>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace berth::registry {

struct Challenge {
  std::string scheme;                             // lower case: "bearer", "basic"
  std::map<std::string, std::string> parameters;  // names in lower case
};

// The challenges of one header's value, in order; what cannot be read is left out.
std::vector<Challenge> ParseChallenges(absl::string_view value);

}  // namespace berth::registry

#endif  // BERTH_SERVER_REGISTRY_CHALLENGE_H_
