// Who this daemon is: a UUID that stays with ROOT, the process and its pid namespace.
//
// Thread-safe function.
#ifndef BERTH_SERVER_MAIN_SERVER_IDENTITY_H_
#define BERTH_SERVER_MAIN_SERVER_IDENTITY_H_

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/api/server_identity.h"

namespace berth {

// Reads ROOT/uuid; makes it at the first start, or anew when it holds no UUID. Blocks.
absl::StatusOr<ServerIdentity> LoadServerIdentity(absl::string_view root);

}  // namespace berth

#endif  // BERTH_SERVER_MAIN_SERVER_IDENTITY_H_
