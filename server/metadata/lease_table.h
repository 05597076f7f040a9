// What leases hold. The other stores call these inside their own transactions.
//
// A resource is a type and an id: "content" (digest), "ingests" (ref), "images" (name),
// "snapshots/<snapshotter>" (key). Thread-compatible functions on a write connection.
#ifndef BERTH_SERVER_METADATA_LEASE_TABLE_H_
#define BERTH_SERVER_METADATA_LEASE_TABLE_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "base/sqlite/connection.h"
#include "server/metadata/caller.h"

namespace berth::metadata {

inline constexpr char kContentResource[] = "content";
inline constexpr char kIngestResource[] = "ingests";
inline constexpr char kImageResource[] = "images";
std::string SnapshotResource(absl::string_view snapshotter);  // "snapshots/<snapshotter>"

// Adds to the caller's lease; without one it does nothing; what is held already stays.
// Errors: NOT_FOUND when the lease does not exist.
absl::Status AddToLease(sqlite::Connection& connection, const Caller& caller,
                        absl::string_view type, absl::string_view id);
// Takes it from the caller's lease, if it has one and that holds it.
absl::Status RemoveFromLease(sqlite::Connection& connection, const Caller& caller,
                             absl::string_view type, absl::string_view id);

}  // namespace berth::metadata

#endif  // BERTH_SERVER_METADATA_LEASE_TABLE_H_
