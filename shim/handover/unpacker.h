// Hands out the descriptors that a shim's earlier program left, each once and only as what it is
// said to be.
//
// In check mode (a child of the shim looks at what it would take) what is handed out for a process
// or a connection is a stand-in that nothing can be done to: an object that goes when a check fails
// must not kill, or answer, on behalf of the shim that lives on. Invariant: a descriptor that is
// not taken is an error (CheckAllTaken). Thread-compatible. Owned by the start of the program.
#ifndef BERTH_SHIM_HANDOVER_UNPACKER_H_
#define BERTH_SHIM_HANDOVER_UNPACKER_H_

#include <sys/types.h>

#include <cstdint>
#include <set>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/os/unique_fd.h"

namespace berth::handover {

enum class Mode { kTake, kCheck };
enum class Kind { kAny, kSocket, kPipe, kDirectory, kFile };

class Unpacker {
 public:
  // All that is in `descriptors` is taken as open and ours.
  Unpacker(Mode mode, std::set<int> descriptors)
      : mode_(mode), descriptors_(std::move(descriptors)) {}
  Unpacker(const Unpacker&) = delete;
  Unpacker& operator=(const Unpacker&) = delete;

  // Errors: FAILED_PRECONDITION for one that did not travel, was taken before or is something else;
  // `what` says whose it is.
  absl::StatusOr<UniqueFd> Take(int32_t fd, Kind kind, absl::string_view what);
  // Invalid for 0.
  absl::StatusOr<UniqueFd> TakeIfAny(int32_t fd, Kind kind, absl::string_view what);
  // Of the process `pid`, which may have ended; 0: of one that is not known.
  absl::StatusOr<UniqueFd> TakePidFd(int32_t fd, pid_t pid, absl::string_view what);
  bool is_check() const { return mode_ == Mode::kCheck; }
  absl::Status CheckAllTaken() const;

 private:
  const Mode mode_;
  std::set<int> descriptors_;  // not taken yet
};

}  // namespace berth::handover

#endif  // BERTH_SHIM_HANDOVER_UNPACKER_H_
