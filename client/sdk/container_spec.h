// The OCI runtime spec of a container that `berth run` starts: docker's defaults, as JSON.
//
// Invariant: nothing in a default spec needs a capability that root usually lacks in a virtual
// machine (no rlimit is raised, no OOM score lowered). Pure function of its input.
#ifndef BERTH_CLIENT_SDK_CONTAINER_SPEC_H_
#define BERTH_CLIENT_SDK_CONTAINER_SPEC_H_

#include <cstdint>
#include <string>
#include <vector>

#include "base/oci/host_devices.h"
#include "base/oci/user_lookup.h"
#include "client/sdk/json_access.h"
#include "client/sdk/mount_option.h"

namespace berth::client {

enum class RootAccess { kReadWrite, kReadOnly };
enum class NetworkMode { kNone, kHost };
enum class Privilege { kDefault, kPrivileged };
enum class SeccompMode { kDefault, kUnconfined };
enum class Escalation { kAllowed, kNoNewPrivileges };
enum class CgroupLayout { kV1, kV2 };

struct ResourceLimits {
  int64_t memory_bytes = 0;  // 0: no limit, here and below
  double cpus = 0;
  int64_t pids = 0;
};

struct ProcessOptions {
  std::vector<std::string> arguments;
  std::vector<std::string> environment;  // "KEY=value", final
  std::string working_directory = "/";
  oci::ProcessUser user;
  bool has_terminal = false;
  int terminal_columns = 0;  // 0: not known
  int terminal_rows = 0;
  std::vector<std::string> capabilities;  // "CAP_CHOWN"
  Escalation escalation = Escalation::kAllowed;
};

struct ContainerSpecOptions {
  std::string ns;
  std::string id;
  std::string hostname;
  ProcessOptions process;
  RootAccess root_access = RootAccess::kReadWrite;
  NetworkMode network = NetworkMode::kNone;
  Privilege privilege = Privilege::kDefault;
  SeccompMode seccomp = SeccompMode::kDefault;
  ResourceLimits limits;
  std::vector<MountOption> mounts;
  CgroupLayout cgroup_layout = CgroupLayout::kV1;
  std::vector<oci::HostDevice> host_devices;  // of a privileged container
};

Json MakeProcessSpec(const ProcessOptions& options);
Json MakeContainerSpec(const ContainerSpecOptions& options);

}  // namespace berth::client

#endif  // BERTH_CLIENT_SDK_CONTAINER_SPEC_H_
