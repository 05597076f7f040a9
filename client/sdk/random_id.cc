#include "client/sdk/random_id.h"

#include <sys/random.h>

#include "absl/strings/escaping.h"
#include "base/status/check.h"

namespace berth::client {

std::string RandomId() {
  char bytes[6];
  // Never short or interrupted for 256 bytes or less once the pool is seeded.
  BERTH_CHECK(::getrandom(bytes, sizeof(bytes), 0) == static_cast<ssize_t>(sizeof(bytes)));
  return absl::BytesToHexString(absl::string_view(bytes, sizeof(bytes)));
}

}  // namespace berth::client
