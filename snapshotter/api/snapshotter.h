// The one interface to filesystem layers: what a backend (overlayfs, native) offers to the daemon.
//
// A snapshot is the state of a filesystem, with at most one parent. Prepare makes an active one
// that can be written through its mounts; Commit freezes it under a new name, after which it may be
// the parent of others; View gives read-only mounts of a committed one. Keys (of active snapshots
// and views) and names (of committed ones) share one space. A Snapshotter returns mounts and never
// makes any itself.
//
// Invariant: after any crash or power cut each record names a complete layer. What a snapshot holds
// is on the disk before the record of its Commit is; the record of a removal is on the disk before
// its files go.
//
// Thread-safe. Owned by the composition root; it outlives everything that uses it.
#ifndef BERTH_SNAPSHOTTER_API_SNAPSHOTTER_H_
#define BERTH_SNAPSHOTTER_API_SNAPSHOTTER_H_

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace berth::sqlite {
class Connection;
}  // namespace berth::sqlite

namespace berth::snapshots {

using Labels = std::map<std::string, std::string>;

enum class Kind { kUnknown = 0, kView = 1, kActive = 2, kCommitted = 3 };

struct Info {
  Kind kind = Kind::kUnknown;
  std::string name;    // key or name
  std::string parent;  // name of a committed snapshot, empty for none
  Labels labels;
  absl::Time created;
  absl::Time updated;
};

// What the snapshot itself takes on disk; its parents are not counted.
struct Usage {
  int64_t size_bytes = 0;
  int64_t inodes = 0;
};

// One call of mount(2), as containerd.types.Mount says it.
struct Mount {
  std::string type;
  std::string source;
  std::string target;  // relative to the root of the assembled filesystem; usually empty
  std::vector<std::string> options;
};

// Work that must happen in the same database transaction as the backend's own record, so that both
// appear or neither does. A failure undoes the backend's part and is returned as it is. Runs while
// no other writer can: no file system work in it. Empty means none.
using AlsoInTransaction = std::function<absl::Status(sqlite::Connection&)>;

struct CreateOptions {
  Labels labels = {};
  AlsoInTransaction also = {};
};

struct CommitOptions {
  Labels labels = {};  // the committed snapshot has these and no others
  // Empty: the parent of the active snapshot. Else the parent to put it on, for a key that was
  // prepared without one; needs the capability "rebase".
  std::string parent = {};
  AlsoInTransaction also = {};
};

struct UpdateOptions {
  // "labels", "labels.<key>"; none: all labels are replaced.
  std::vector<std::string> field_paths = {};
  AlsoInTransaction also = {};
};

struct RemoveOptions {
  AlsoInTransaction also = {};
};

class Snapshotter {
 public:
  struct Description {
    std::string name;                       // "overlayfs"
    std::string root;                       // directory of its data
    std::vector<std::string> capabilities;  // "rebase", "remap-ids"
    // With "rebase": how a layer that was prepared without its parent marks what it hides of it,
    // as overlayfs does, by devices 0/0 and trusted.* or user.* attributes.
    enum class Marks { kNone, kTrusted, kUser } marks = Marks::kNone;
    // The file beside the directory of a prepared snapshot's mounts that an unpacking writes as an
    // EROFS image, instead of filling the directory; empty: there is none.
    std::string image = {};
  };

  virtual ~Snapshotter() = default;

  virtual const Description& description() const = 0;

  // Errors: NOT_FOUND.
  virtual absl::StatusOr<Info> Stat(absl::string_view key) = 0;

  // Changes the labels of `info.name`. Errors: NOT_FOUND, INVALID_ARGUMENT for another field path.
  virtual absl::StatusOr<Info> Update(const Info& info, const UpdateOptions& options) = 0;

  // Active snapshots are measured now, committed ones were measured at Commit. Errors: NOT_FOUND.
  // Blocks: reads the snapshot's tree.
  virtual absl::StatusOr<Usage> GetUsage(absl::string_view key) = 0;

  // The mounts of an active snapshot or view, once more. Errors: NOT_FOUND; FAILED_PRECONDITION for
  // a committed one.
  virtual absl::StatusOr<std::vector<Mount>> Mounts(absl::string_view key) = 0;

  // Errors: ALREADY_EXISTS (key taken), NOT_FOUND (parent), INVALID_ARGUMENT (parent not
  // committed). Blocks: makes directories; the native backend copies its parent.
  virtual absl::StatusOr<std::vector<Mount>> Prepare(absl::string_view key,
                                                     absl::string_view parent,
                                                     const CreateOptions& options) = 0;
  virtual absl::StatusOr<std::vector<Mount>> View(absl::string_view key, absl::string_view parent,
                                                  const CreateOptions& options) = 0;

  // Turns active `key` into committed `name`; `key` is free again. Errors: NOT_FOUND (key, parent),
  // ALREADY_EXISTS (name), FAILED_PRECONDITION (not active, or it has a parent already),
  // INVALID_ARGUMENT (parent not committed), UNIMPLEMENTED (no rebase here). Blocks: reads the tree
  // and makes it durable.
  virtual absl::Status Commit(absl::string_view name, absl::string_view key,
                              const CommitOptions& options) = 0;

  // The key is free when this returns; its files go afterwards. Errors: NOT_FOUND,
  // FAILED_PRECONDITION (it has children).
  virtual absl::Status Remove(absl::string_view key, const RemoveOptions& options) = 0;

  // Calls `visit` with each snapshot in order of name until it fails. Snapshots may be changed
  // meanwhile, also by `visit`.
  virtual absl::Status Walk(absl::FunctionRef<absl::Status(const Info&)> visit) = 0;

  // Deletes at once whatever removed and abandoned snapshots left. Blocks.
  virtual absl::Status Cleanup() = 0;

  // Ends background work. Twice is no error; every other call then is UNAVAILABLE.
  virtual absl::Status Close() = 0;
};

}  // namespace berth::snapshots

#endif  // BERTH_SNAPSHOTTER_API_SNAPSHOTTER_H_
