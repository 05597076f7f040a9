// What a spec is made of besides the container's own record. A plain value.
#ifndef BERTH_SERVER_ENGINE_SPEC_INPUT_H_
#define BERTH_SERVER_ENGINE_SPEC_INPUT_H_

#include <string>

#include "proto/berth/engine/v1/record.pb.h"

namespace berth::engine {

enum class CgroupLayout { kV1, kV2 };

struct SpecInput {
  std::string ns;
  std::string id;
  v1::Container container;
  std::string passwd;  // texts of the root's /etc/passwd and /etc/group
  std::string group;
  CgroupLayout cgroup_layout = CgroupLayout::kV1;
  std::string host_name;  // this machine's
  // Of the containers whose namespaces are joined; 0: none.
  int network_pid = 0;
  int ipc_pid = 0;
  int pid_pid = 0;
  std::string shared_shm;  // directory that is /dev/shm; empty: a tmpfs of its own
  // Files made for the container; empty: none.
  std::string hosts_path;
  std::string hostname_path;
  std::string resolv_conf_path;
  std::string init_path;  // with --init: the program on the host
  uint32_t terminal_columns = 0;
  uint32_t terminal_rows = 0;
};

}  // namespace berth::engine

#endif  // BERTH_SERVER_ENGINE_SPEC_INPUT_H_
