// A container of another runtime on its way to the program that takes over.
#include <utility>

#include "base/status/status_macros.h"
#include "proto/berth/shim/v1/handover.pb.h"
#include "shim/handover/packer.h"
#include "shim/handover/unpacker.h"
#include "shim/launch/foreign_container.h"

namespace berth::launch {
namespace {

namespace v1 = berth::shim::v1;

}  // namespace

absl::Status ForeignContainer::Save(handover::Packer& packer, v1::TaskState& task) const {
  if (create_done_ || creating_ != nullptr || !running_.empty() || mounter_ != nullptr) {
    return absl::UnavailableError("a command of the runtime is running");
  }
  v1::ForeignContainerState& state = *task.mutable_foreign();
  state.set_binary(runtime_.binary);
  state.set_root(runtime_.root);
  state.set_systemd_cgroup(runtime_.systemd_cgroup);
  state.set_id(id_);
  state.set_bundle(bundle_);
  state.set_rootfs(rootfs_);
  for (const std::string& flag : create_flags_) state.add_create_flags(flag);
  state.set_mounted(mounted_);
  state.set_made(made_);
  state.set_init_pid(init_pid_);
  state.set_init_pidfd(packer.Pack(init_pidfd_));
  state.set_init_start_time_ticks(init_start_time_ticks_);
  cgroup_.Save(packer, *state.mutable_cgroup());
  for (const std::string& warning : warnings_) state.add_warnings(warning);
  for (const pid_t pid : known_) state.add_known(pid);
  state.set_next_file(next_file_);
  if (oom_) oom_->Save(packer, *state.mutable_oom());
  packer.Count(oom_watch_);
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<ForeignContainer>> ForeignContainer::Resume(
    Loop& loop, const v1::ForeignContainerState& state, handover::Unpacker& unpacker) {
  auto container = std::make_unique<ForeignContainer>(
      loop, ForeignRuntime{state.binary(), state.root(), state.systemd_cgroup()});
  container->id_ = state.id();
  container->bundle_ = state.bundle();
  container->rootfs_ = state.rootfs();
  container->create_flags_.assign(state.create_flags().begin(), state.create_flags().end());
  container->mounted_ = state.mounted();
  container->made_ = state.made();
  container->init_pid_ = state.init_pid();
  container->init_start_time_ticks_ = state.init_start_time_ticks();
  if (state.init_pidfd() != 0) {
    BERTH_ASSIGN_OR_RETURN(container->init_pidfd_,
                           unpacker.TakePidFd(state.init_pidfd(), state.init_pid(), "init"));
  }
  BERTH_ASSIGN_OR_RETURN(container->cgroup_, cgroup::Cgroup::Resume(state.cgroup(), unpacker));
  container->warnings_.assign(state.warnings().begin(), state.warnings().end());
  container->known_.insert(state.known().begin(), state.known().end());
  container->next_file_ = state.next_file();
  if (!state.has_oom()) return container;
  BERTH_ASSIGN_OR_RETURN(cgroup::OomSource source,
                         cgroup::OomSource::Resume(state.oom(), unpacker));
  container->oom_.emplace(std::move(source));
  return container;
}

}  // namespace berth::launch
