// The label containerd.io/gc.expire of leases and images. Thread-safe functions.
#ifndef BERTH_SERVER_METADATA_GC_EXPIRY_H_
#define BERTH_SERVER_METADATA_GC_EXPIRY_H_

#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/sqlite/connection.h"
#include "server/metadata/collectable.h"
#include "server/metadata/object.h"

namespace berth::metadata {

inline constexpr char kExpireLabel[] = "containerd.io/gc.expire";
inline constexpr char kFlatLabel[] = "containerd.io/gc.flat";

// When a label's value (RFC 3339) says that its object expires; one that is no time never expires,
// as with containerd: better to keep too much.
absl::Time ParseExpiry(absl::string_view value);

// Visits all objects of one kind, whose table has columns ns and `name_column`: rooted unless their
// expiry has passed.
absl::Status ForEachExpiring(sqlite::Connection& connection, ObjectKind kind,
                             absl::string_view table, absl::string_view name_column, absl::Time now,
                             absl::FunctionRef<void(ObjectId, Rooted)> visit);

}  // namespace berth::metadata

#endif  // BERTH_SERVER_METADATA_GC_EXPIRY_H_
