// `--user NAME|UID[:GROUP|GID]` looked up in an image's own passwd and group files. Pure functions.
#ifndef BERTH_BASE_OCI_USER_LOOKUP_H_
#define BERTH_BASE_OCI_USER_LOOKUP_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace berth::oci {

struct ProcessUser {
  uint32_t uid = 0;
  uint32_t gid = 0;
  std::vector<uint32_t> additional_gids;
  std::string home = "/";
};

// `passwd` and `group` are the texts of the files, empty when the image has none. An empty `user`
// is root. Without an explicit group, the user's memberships become additional groups. Errors:
// NOT_FOUND for a name that the files lack, INVALID_ARGUMENT for malformed numbers.
absl::StatusOr<ProcessUser> LookUpUser(absl::string_view user, absl::string_view passwd,
                                       absl::string_view group);

}  // namespace berth::oci

#endif  // BERTH_BASE_OCI_USER_LOOKUP_H_
