// A control group on its way to the program that takes over.
#include <utility>

#include "base/status/status_macros.h"
#include "proto/berth/shim/v1/handover.pb.h"
#include "shim/cgroup/cgroup.h"
#include "shim/handover/packer.h"
#include "shim/handover/unpacker.h"

namespace berth::cgroup {
namespace {

namespace v1 = berth::shim::v1;
using handover::Kind;

}  // namespace

void Cgroup::Save(handover::Packer& packer, v1::CgroupState& state) const {
  for (const Directory& directory : directories_) {
    auto& saved = *state.add_directories();
    saved.set_path(directory.path);
    saved.set_descriptor(packer.Pack(directory.fd));
    saved.set_unified(directory.unified);
    for (const std::string& controller : directory.controllers) saved.add_controllers(controller);
  }
  state.set_left_to_systemd(left_to_systemd_);
}

absl::StatusOr<Cgroup> Cgroup::Resume(const v1::CgroupState& state, handover::Unpacker& unpacker) {
  Cgroup group;
  for (const auto& saved : state.directories()) {
    Directory directory;
    directory.path = saved.path();
    BERTH_ASSIGN_OR_RETURN(directory.fd, unpacker.Take(saved.descriptor(), Kind::kDirectory,
                                                       "a control group's directory"));
    directory.unified = saved.unified();
    directory.controllers.assign(saved.controllers().begin(), saved.controllers().end());
    group.paths_.push_back(saved.path());
    group.directories_.push_back(std::move(directory));
  }
  group.left_to_systemd_ = state.left_to_systemd();
  return group;
}

}  // namespace berth::cgroup
