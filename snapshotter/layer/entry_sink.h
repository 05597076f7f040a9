// Where the members of a layer go while it is unpacked: into a directory (TreeWriter) or an image.
//
// Thread-compatible. Owned by one apply job.
#ifndef BERTH_SNAPSHOTTER_LAYER_ENTRY_SINK_H_
#define BERTH_SNAPSHOTTER_LAYER_ENTRY_SINK_H_

#include <cstdint>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "base/os/unique_fd.h"
#include "snapshotter/layer/entry.h"

namespace berth::layer {

// Whether the lower layers that a sink was given are all that the layer lies on, or it will be put
// on layers that are not there yet.
enum class Below { kShown, kUnknown };

class EntrySink {
 public:
  // Writes a file's data to `file`, from `begin` on; what lies there is empty.
  using DataWriter = absl::FunctionRef<absl::Status(BorrowedFd file, int64_t begin)>;

  virtual ~EntrySink() = default;

  // Creates what `entry` describes, or carries out the whiteout. `write_data` is called for kFile.
  // Errors: INVALID_ARGUMENT for a member that is refused; FAILED_PRECONDITION where needs_parent()
  // becomes true; those of the system. All name the member. Blocks.
  virtual absl::Status Add(const Entry& entry, DataWriter write_data) = 0;
  // After the last member. Blocks.
  virtual absl::Status Finish() = 0;
  // Only with Below::kUnknown: a member wants something that the layers below have: the attributes
  // of a directory that no earlier member describes, or the target of a hard link.
  virtual bool needs_parent() const = 0;
};

}  // namespace berth::layer

#endif  // BERTH_SNAPSHOTTER_LAYER_ENTRY_SINK_H_
