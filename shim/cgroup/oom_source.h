// OOM kills in a cgroup as a descriptor to watch: v1's eventfd, or inotify on v2's memory.events.
//
// Invariant: each kill since Open is reported once, by count. Loop-only. Owned by the container.
#ifndef BERTH_SHIM_CGROUP_OOM_SOURCE_H_
#define BERTH_SHIM_CGROUP_OOM_SOURCE_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "base/os/unique_fd.h"
#include "shim/cgroup/cgroup.h"

namespace berth::handover {
class Packer;
class Unpacker;
}  // namespace berth::handover
namespace berth::shim::v1 {
class OomState;
}  // namespace berth::shim::v1

namespace berth::cgroup {

class OomSource {
 public:
  // Errors: UNIMPLEMENTED without a memory controller.
  static absl::StatusOr<OomSource> Open(const Cgroup& group);
  // For the program that this one becomes, and in it: kills in between are counted.
  void Save(handover::Packer& packer, berth::shim::v1::OomState& state) const;
  static absl::StatusOr<OomSource> Resume(const berth::shim::v1::OomState& state,
                                          handover::Unpacker& unpacker);
  OomSource(OomSource&&) noexcept = default;
  OomSource& operator=(OomSource&&) noexcept = default;

  // Readable (EPOLLIN) when there may be news.
  BorrowedFd fd() const { return events_; }
  // Kills since the last call.
  uint64_t TakeKills();

 private:
  OomSource() = default;
  uint64_t Count() const;

  UniqueFd events_;
  UniqueFd counters_;  // memory.oom_control, or memory.events
  uint64_t seen_ = 0;
};

}  // namespace berth::cgroup

#endif  // BERTH_SHIM_CGROUP_OOM_SOURCE_H_
