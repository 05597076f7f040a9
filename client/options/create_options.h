// What `run` and `create` may be told about a new container: the words as typed, and their binding
// to the command line. create_request.h checks them and makes the request.
#ifndef BERTH_CLIENT_OPTIONS_CREATE_OPTIONS_H_
#define BERTH_CLIENT_OPTIONS_CREATE_OPTIONS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "client/commands/command.h"

namespace berth::client {

struct CreateOptions {
  using Text = std::string;
  using List = std::vector<std::string>;
  using MaybeText = std::optional<std::string>;

  List words;  // image, command

  // The container and its process.
  Text name, hostname, domainname, working_directory, user, platform, runtime, container_id_file;
  Text pull = "missing";
  List environment, environment_files, labels, label_files, annotations;
  MaybeText entrypoint;
  bool is_interactive = false, has_terminal = false, removes = false, is_quiet = false;
  std::optional<bool> init;
  List attach, expose, publish;
  bool publishes_all = false;
  Text stop_signal;
  std::optional<int> stop_timeout;
  Text restart;

  // Files.
  List volumes, mounts, tmpfs, volumes_from, storage_options;
  bool is_read_only = false;
  Text shm_size;

  // Network.
  Text network;
  List extra_hosts, dns, dns_search, dns_options;

  // Limits.
  Text memory, memory_swap, memory_reservation, cpus, cpuset_cpus, cpuset_mems;
  std::optional<int> memory_swappiness, pids_limit, oom_score_adj;
  int cpu_shares = 0, cpu_quota = 0, cpu_period = 0, blkio_weight = 0;
  List blkio_weight_devices, read_bps, write_bps, read_iops, write_iops, ulimits;
  std::optional<bool> oom_kill_disable;
  Text cgroup_parent;

  // Security.
  bool is_privileged = false;
  List cap_add, cap_drop, security_options, sysctls, devices, device_cgroup_rules, group_add;
  Text ipc, pid, uts, userns, cgroupns;

  // Health and logs.
  MaybeText health_command;
  Text health_interval, health_timeout, health_start_period, health_start_interval;
  int health_retries = 0;
  bool has_no_healthcheck = false;
  Text log_driver;
  List log_options;
};

// `options` must outlive the command.
void BindCreateOptions(Command& command, CreateOptions& options);

}  // namespace berth::client

#endif  // BERTH_CLIENT_OPTIONS_CREATE_OPTIONS_H_
