// The directories of tasks: STATE/io.containerd.runtime.v2.task/<namespace>/<id>, in the shape that
// other programs know from containerd.
//
// Invariant: a bundle exists under its name from Create to Hide; what is half removed has a name
// that begins with a dot, and the next List finishes it. A bundle without a journal is half made.
// docs/formats/bundle.md lists the files. Blocks: every method touches the disk, so they run on an
// executor. Thread-safe (for different bundles). Owned by TaskManager.
#ifndef BERTH_SERVER_TASK_BUNDLE_H_
#define BERTH_SERVER_TASK_BUNDLE_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "google/protobuf/any.pb.h"

namespace berth {

// Names one task in the daemon: ids are unique within their namespace only.
struct TaskKey {
  std::string ns;
  std::string id;
  friend bool operator==(const TaskKey&, const TaskKey&) = default;
  template <typename H>
  friend H AbslHashValue(H h, const TaskKey& key) {
    return H::combine(std::move(h), key.ns, key.id);
  }
};

// What the daemon writes into a new bundle.
struct BundleContents {
  std::string config_json;
  google::protobuf::Any options;  // the runtime's; may be empty
  std::string shim_binary;        // path of a foreign shim; empty for our own
  std::string address;  // of our own shim's socket, "unix://..."; a foreign one writes it itself
};

// The directories of a bundle that is out of sight; empty where there was none.
struct HiddenBundle {
  std::string bundle;
  std::string work;
};

class BundleStore {
 public:
  // `state` and `root` are the daemon's STATE and ROOT.
  BundleStore(absl::string_view state, absl::string_view root);

  std::string PathOf(const TaskKey& key) const;
  // Makes the directory with config.json, rootfs/, work and options.json. Nothing remains after an
  // error. Errors: ALREADY_EXISTS; INVALID_ARGUMENT for a spec without JSON.
  absl::Status Create(const TaskKey& key, const BundleContents& contents) const;
  // The path of the foreign shim that runs in a bundle; empty for our own.
  absl::StatusOr<std::string> ShimBinaryOf(const TaskKey& key) const;
  // Takes a bundle out of sight in one step, after which its name is free: a missing one is no
  // error. What is mounted on its rootfs (foreign runtimes mount there) is detached first.
  // Errors: FAILED_PRECONDITION when something stays mounted.
  absl::StatusOr<HiddenBundle> Hide(const TaskKey& key) const;
  // Removes what Hide left: many calls on a disk, for which no client need wait.
  absl::Status Discard(const HiddenBundle& hidden) const;
  // Both.
  absl::Status Remove(const TaskKey& key) const;
  // All bundles, and a first removal of what an earlier daemon left half removed.
  absl::StatusOr<std::vector<TaskKey>> List() const;

 private:
  absl::Status Fill(const std::string& path, const std::string& work,
                    const BundleContents& contents) const;

  const std::string bundles_;  // <state>/io.containerd.runtime.v2.task
  const std::string works_;    // <root>/io.containerd.runtime.v2.task
};

}  // namespace berth

#endif  // BERTH_SERVER_TASK_BUNDLE_H_
