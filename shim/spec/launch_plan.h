// A whole config.json as validated plain values: what shim/launch carries out.
//
// Invariant: whatever can be judged without asking the kernel has been judged: names are known,
// paths that must be absolute are, numbers fit, combinations make sense. No string holds a NUL.
// Immutable once parsed; owned by the create that uses it, and freed before the container runs.
#ifndef BERTH_SHIM_SPEC_LAUNCH_PLAN_H_
#define BERTH_SHIM_SPEC_LAUNCH_PLAN_H_

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "shim/spec/process_plan.h"
#include "shim/spec/resources.h"

namespace berth::spec {

struct IdMapping {
  uint32_t container_id = 0;
  uint32_t host_id = 0;
  uint32_t size = 0;
};

struct NamespacePlan {
  int clone_flag = 0;  // CLONE_NEW*
  std::string path;    // empty: a new one
};

// Changes of mount attributes in mount_setattr(2)'s words.
struct AttributeChange {
  uint64_t set = 0;  // MOUNT_ATTR_*
  uint64_t clear = 0;
  bool empty() const { return set == 0 && clear == 0; }
};

enum class IdMapScope { kNone, kMount, kTree };

struct MountPlan {
  std::string destination;  // absolute
  std::string type;
  std::string source;
  bool bind = false;
  bool recursive = false;      // of a bind: the whole tree
  bool remount = false;        // change what is mounted there
  AttributeChange attributes;  // of the mount itself
  AttributeChange tree;        // of all mounts below too: rro, rnosuid, ...
  uint64_t propagation = 0;    // MS_PRIVATE, MS_SHARED, MS_SLAVE, MS_UNBINDABLE, or 0
  bool recursive_propagation = false;
  std::vector<std::string> filesystem_flags;  // sync, dirsync, lazytime, ...: fsconfig flags
  std::vector<std::string> data;              // filesystem options, "name" or "name=value"
  bool copy_up = false;                       // tmpcopyup
  IdMapScope id_map = IdMapScope::kNone;
  bool source_no_follow = false;
  bool destination_no_follow = false;
  bool copy_symlink = false;
  std::vector<IdMapping> uid_mappings;
  std::vector<IdMapping> gid_mappings;
};

struct Hook {
  std::string path;  // absolute
  std::vector<std::string> args;
  std::vector<std::string> env;
  absl::Duration timeout = absl::InfiniteDuration();
};

struct Hooks {
  std::vector<Hook> prestart;
  std::vector<Hook> create_runtime;
  std::vector<Hook> create_container;
  std::vector<Hook> start_container;
  std::vector<Hook> poststart;
  std::vector<Hook> poststop;
};

struct DeviceNode {
  std::string path;
  char type = 'c';  // c, b, p; u is c
  uint32_t major = 0;
  uint32_t minor = 0;
  mode_t mode = 0666;
  uid_t uid = 0;
  gid_t gid = 0;
};

struct TimeOffset {
  std::string clock;  // monotonic, boottime
  int64_t seconds = 0;
  uint32_t nanoseconds = 0;
};

struct MemoryPolicy {
  int mode = 0;  // MPOL_* with flags
  std::vector<int> nodes;
};

// A class of service of the processor's caches and memory bandwidth (resctrl).
struct IntelRdt {
  std::string class_id;  // a directory's name, "/" for the root's class, or empty: the container's
  std::string l3_cache_schema;
  std::string memory_bandwidth_schema;
  std::vector<std::string> schemata;  // lines, written last
  bool monitoring = false;
};

struct NetDevice {
  std::string host_name;
  std::string container_name;
};

struct LaunchPlan {
  std::string oci_version;
  std::string root_path;  // as given: absolute, or relative to the bundle
  bool root_readonly = false;
  ProcessPlan process;
  std::string hostname;
  std::string domainname;
  std::vector<MountPlan> mounts;
  Hooks hooks;
  std::string annotations_json;  // an object; empty when there are none

  std::vector<NamespacePlan> namespaces;
  std::vector<IdMapping> uid_mappings;
  std::vector<IdMapping> gid_mappings;
  std::vector<TimeOffset> time_offsets;
  std::vector<DeviceNode> devices;
  std::string cgroups_path;
  Resources resources;
  uint64_t rootfs_propagation = 0;  // MS_* with MS_REC, or 0
  std::string seccomp_json;         // linux.seccomp as written; empty: none. See seccomp_profile.h
  std::string seccomp_listener_path;
  std::string seccomp_listener_metadata;
  std::vector<std::string> masked_paths;
  std::vector<std::string> readonly_paths;
  std::string mount_label;
  std::vector<std::pair<std::string, std::string>> sysctls;
  std::optional<uint64_t> personality;
  std::optional<IntelRdt> intel_rdt;
  std::optional<MemoryPolicy> memory_policy;
  std::vector<NetDevice> net_devices;

  std::vector<std::string> warnings;  // what was ignored, each a line for the log

  // The namespace of kind CLONE_NEW*, or null.
  const NamespacePlan* FindNamespace(int clone_flag) const;
  // Whether there is one and it is new.
  bool NewNamespace(int clone_flag) const;
};

}  // namespace berth::spec

#endif  // BERTH_SHIM_SPEC_LAUNCH_PLAN_H_
