// What init does between clone3 and its program: the whole life of the child, in order.
//
// InitPlan is made by the parent before the clone and only read here. Everything runs in a copy of
// the parent's address space, with one thread, so nothing is shared but descriptors.
// Thread-hostile: neither function returns to the caller's world.
#ifndef BERTH_SHIM_INIT_INIT_MAIN_H_
#define BERTH_SHIM_INIT_INIT_MAIN_H_

#include <string>
#include <vector>

#include "shim/init/process_setup.h"
#include "shim/rootfs/rootfs_mount.h"
#include "shim/rootfs/spec_mounts.h"
#include "shim/spec/launch_plan.h"

namespace berth::init {

struct JoinedNamespace {
  int clone_flag = 0;
  int fd = -1;
};

enum class RootSwitch { kPivotRoot, kMoveMount };

struct InitPlan {
  const spec::LaunchPlan* spec = nullptr;
  std::string bundle;
  std::string root_path;  // absolute
  std::vector<rootfs::PreparedMount> rootfs_mounts;
  std::vector<rootfs::CgroupView> cgroups;
  std::vector<JoinedNamespace> joined;  // RunInit: without pid, which the parent enters for us
  int control = -1;
  int listener = -1;  // a listening socket that `start` connects to; -1: the control socket itself
  std::vector<int> id_maps;  // one for each mount: a user namespace, or -1
  ProcessSetup process;
  RootSwitch root_switch = RootSwitch::kPivotRoot;
  bool new_user_namespace = false;
  bool joined_user_namespace = false;
  // The caller is nobody's root. RunInit: born in its user namespace, dumpable, and waits for
  // kMapped before it does anything. RunAssistant: joins the user namespace before all others.
  bool is_rootless = false;
  // The state JSON for hooks, up to the pid, which only the child can tell; "}" ends it.
  std::string state_creating;
  std::string state_created;
};

// For a container without a user namespace, and for an ordinary user's new one: the child of
// clone3(CLONE_NEWPID), or of clone3(CLONE_NEWUSER | CLONE_NEWPID).
[[noreturn]] void RunInit(InitPlan& plan);

// For one with a user namespace: an assistant, still in the host's, that opens what only the host's
// root may open, clones init into the new namespaces as the shim's child, reports its pid, and
// ends.
[[noreturn]] void RunAssistant(InitPlan& plan);

}  // namespace berth::init

#endif  // BERTH_SHIM_INIT_INIT_MAIN_H_
