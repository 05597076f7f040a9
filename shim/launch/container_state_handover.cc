#include "shim/launch/container_state_handover.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status/status_macros.h"

namespace berth::launch {
namespace {

namespace v1 = berth::shim::v1;
using handover::Kind;

using Hooks = google::protobuf::RepeatedPtrField<v1::HookState>;

void SaveHooks(const std::vector<spec::Hook>& hooks, Hooks& to) {
  for (const spec::Hook& hook : hooks) {
    v1::HookState& saved = *to.Add();
    saved.set_path(hook.path);
    for (const std::string& argument : hook.args) saved.add_args(argument);
    for (const std::string& variable : hook.env) saved.add_env(variable);
    saved.set_timeout(hook.timeout == absl::InfiniteDuration()
                          ? handover::kNotSet
                          : absl::ToInt64Nanoseconds(hook.timeout));
  }
}

std::vector<spec::Hook> ResumeHooks(const Hooks& from) {
  std::vector<spec::Hook> hooks;
  for (const v1::HookState& saved : from) {
    spec::Hook& hook = hooks.emplace_back();
    hook.path = saved.path();
    hook.args.assign(saved.args().begin(), saved.args().end());
    hook.env.assign(saved.env().begin(), saved.env().end());
    if (saved.timeout() >= 0) hook.timeout = absl::Nanoseconds(saved.timeout());
  }
  return hooks;
}

absl::Status ResumeDescriptors(const v1::NativeContainer& from, handover::Unpacker& unpacker,
                               ContainerState& to) {
  BERTH_ASSIGN_OR_RETURN(to.cgroup, cgroup::Cgroup::Resume(from.cgroup(), unpacker));
  if (from.init_pidfd() != 0) {
    BERTH_ASSIGN_OR_RETURN(to.init_pidfd,
                           unpacker.TakePidFd(from.init_pidfd(), from.init_pid(), "init"));
  }
  BERTH_ASSIGN_OR_RETURN(to.control,
                         unpacker.TakeIfAny(from.control(), Kind::kSocket, "the way to init"));
  BERTH_ASSIGN_OR_RETURN(to.rootfs,
                         unpacker.TakeIfAny(from.rootfs(), Kind::kAny, "the root filesystem"));
  BERTH_ASSIGN_OR_RETURN(to.seccomp,
                         unpacker.TakeIfAny(from.seccomp(), Kind::kFile, "the seccomp program"));
  return absl::OkStatus();
}

}  // namespace

void SaveState(const ContainerState& from, handover::Packer& packer, v1::NativeContainer& to) {
  to.set_id(from.id);
  to.set_bundle(from.bundle);
  to.set_authority(static_cast<uint32_t>(from.authority));
  to.set_oci_version(from.oci_version);
  to.set_annotations_json(from.annotations_json);
  to.set_root_path(from.root_path);
  SaveHooks(from.poststart, *to.mutable_poststart());
  SaveHooks(from.poststop, *to.mutable_poststop());
  to.set_poststop_due(from.poststop_due);
  from.cgroup.Save(packer, *to.mutable_cgroup());
  to.set_init_pid(from.init_pid);
  to.set_init_pidfd(packer.Pack(from.init_pidfd));
  to.set_init_start_time_ticks(from.init_start_time_ticks);
  to.set_control(packer.Pack(from.control));
  to.set_rootfs(packer.Pack(from.rootfs));
  to.set_rootfs_is_callers(from.rootfs_is_callers);
  to.set_seccomp(packer.Pack(from.seccomp));
  to.set_seccomp_agent_path(from.seccomp_agent.path);
  to.set_seccomp_agent_metadata(from.seccomp_agent.metadata);
  if (from.intel_rdt) {
    auto& rdt = *to.mutable_intel_rdt();
    rdt.set_class_id(from.intel_rdt->class_id);
    rdt.set_l3_cache_schema(from.intel_rdt->l3_cache_schema);
    rdt.set_memory_bandwidth_schema(from.intel_rdt->memory_bandwidth_schema);
    for (const std::string& line : from.intel_rdt->schemata) rdt.add_schemata(line);
    rdt.set_monitoring(from.intel_rdt->monitoring);
  }
  to.set_keyring(from.keyring);
  to.set_namespaces(from.namespaces);
  to.set_user_namespace(from.user_namespace);
  to.set_terminal(from.terminal);
  for (const int cpu : from.exec_initial_cpus) to.add_exec_initial_cpus(cpu);
  for (const int cpu : from.exec_final_cpus) to.add_exec_final_cpus(cpu);
  to.set_oom_score_policy(static_cast<uint32_t>(from.oom_score_policy));
  for (const std::string& warning : from.warnings) to.add_warnings(warning);
}

absl::Status ResumeState(const v1::NativeContainer& from, handover::Unpacker& unpacker,
                         ContainerState& to) {
  if (from.authority() > static_cast<uint32_t>(Authority::kNone) ||
      from.oom_score_policy() > static_cast<uint32_t>(OomScorePolicy::kStrict)) {
    return absl::FailedPreconditionError("it was made in a way that this program does not know");
  }
  to.id = from.id();
  to.bundle = from.bundle();
  to.authority = static_cast<Authority>(from.authority());
  to.oci_version = from.oci_version();
  to.annotations_json = from.annotations_json();
  to.root_path = from.root_path();
  to.poststart = ResumeHooks(from.poststart());
  to.poststop = ResumeHooks(from.poststop());
  to.poststop_due = from.poststop_due();
  to.init_pid = from.init_pid();
  to.init_start_time_ticks = from.init_start_time_ticks();
  to.rootfs_is_callers = from.rootfs_is_callers();
  to.seccomp_agent.path = from.seccomp_agent_path();
  to.seccomp_agent.metadata = from.seccomp_agent_metadata();
  if (from.has_intel_rdt()) {
    spec::IntelRdt& rdt = to.intel_rdt.emplace();
    rdt.class_id = from.intel_rdt().class_id();
    rdt.l3_cache_schema = from.intel_rdt().l3_cache_schema();
    rdt.memory_bandwidth_schema = from.intel_rdt().memory_bandwidth_schema();
    rdt.schemata.assign(from.intel_rdt().schemata().begin(), from.intel_rdt().schemata().end());
    rdt.monitoring = from.intel_rdt().monitoring();
  }
  to.keyring = from.keyring();
  to.namespaces = from.namespaces();
  to.user_namespace = from.user_namespace();
  to.terminal = from.terminal();
  to.exec_initial_cpus.assign(from.exec_initial_cpus().begin(), from.exec_initial_cpus().end());
  to.exec_final_cpus.assign(from.exec_final_cpus().begin(), from.exec_final_cpus().end());
  to.oom_score_policy = static_cast<OomScorePolicy>(from.oom_score_policy());
  to.warnings.assign(from.warnings().begin(), from.warnings().end());
  return ResumeDescriptors(from, unpacker, to);
}

}  // namespace berth::launch
