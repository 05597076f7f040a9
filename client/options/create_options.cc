#include "client/options/create_options.h"

namespace berth::client {
namespace {

void BindProcess(Command& command, CreateOptions& o) {
  command.Option("--name NAME", o.name, "Name of the container (default: a random one)")
      .Flag("-i,--interactive", o.is_interactive, "Keep standard input open")
      .Flag("-t,--tty", o.has_terminal, "Give the program a terminal")
      .Flag("--rm", o.removes, "Remove the container and its anonymous volumes at its end")
      .Option("-a,--attach STREAM", o.attach, "Attach to stdin, stdout or stderr")
      .Option("-e,--env LIST", o.environment, "KEY=VALUE, or KEY to pass your own value on")
      .Option("--env-file FILE", o.environment_files, "Read KEY=VALUE lines from a file")
      .Option("-w,--workdir DIR", o.working_directory, "Working directory of the program")
      .Option("-u,--user USER", o.user, "NAME|UID[:GROUP|GID]")
      .Option("--group-add GROUP", o.group_add, "One more group of the program")
      .Option("--entrypoint PROGRAM", o.entrypoint, "Replace the image's entry point")
      .Flag("--init", o.init, "Run a small init as process 1: reaps children, passes signals on")
      .Option("-h,--hostname NAME", o.hostname, "Host name (default: the short id)")
      .Option("--domainname NAME", o.domainname, "NIS domain name")
      .Option("-l,--label LIST", o.labels, "KEY=VALUE on the container")
      .Option("--label-file FILE", o.label_files, "Read labels from a file")
      .Option("--annotation LIST", o.annotations, "KEY=VALUE for the OCI runtime")
      .Option("--restart POLICY", o.restart, "no, on-failure[:N], always or unless-stopped")
      .Option("--stop-signal SIGNAL", o.stop_signal, "What `berth stop` sends")
      .Option("--stop-timeout SECONDS", o.stop_timeout, "How long `berth stop` waits; -1: for ever")
      .Option("--runtime NAME", o.runtime, "Runtime, as containerd names it")
      .Option("--platform OS/ARCH", o.platform, "Which variant of the image")
      .Option("--pull WHEN", o.pull, "Pull the image: always, missing (the default) or never")
      .Flag("-q,--quiet", o.is_quiet, "Pull without progress")
      .Option("--cidfile FILE", o.container_id_file, "Write the id to this file");
}

void BindFiles(Command& command, CreateOptions& o) {
  command
      .Option("-v,--volume LIST", o.volumes,
              "Mount a path or volume: [SOURCE:]DESTINATION[:ro,nocopy,...]")
      .Option("--mount SPEC", o.mounts, "type=bind|volume|tmpfs,source=...,target=...[,readonly]")
      .Option("--tmpfs PATH", o.tmpfs, "Mount a tmpfs: PATH[:size=64m,mode=1777,...]")
      .Option("--volumes-from CONTAINER", o.volumes_from, "Mount what another container mounts")
      .Flag("--read-only", o.is_read_only, "Make the root read-only")
      .Option("--shm-size BYTES", o.shm_size, "Size of /dev/shm (default 64m)")
      .Option("--storage-opt LIST", o.storage_options, "size=N of the writable layer");
}

void BindNetwork(Command& command, CreateOptions& o) {
  command.Option("--network,--net NETWORK", o.network, "none, host or container:NAME")
      .Option("--add-host LIST", o.extra_hosts, "A line of /etc/hosts: NAME:ADDRESS")
      .Option("--dns ADDRESS", o.dns, "A name server")
      .Option("--dns-search DOMAIN", o.dns_search, "A domain to search")
      .Option("--dns-option OPTION", o.dns_options, "An option of the resolver")
      .Option("-p,--publish LIST", o.publish, "Publish a port: [[IP:]HOST_PORT:]PORT[/udp]")
      .Flag("-P,--publish-all", o.publishes_all, "Publish all exposed ports")
      .Option("--expose PORT", o.expose, "A port that the program listens on");
}

void BindLimits(Command& command, CreateOptions& o) {
  command.Option("-m,--memory BYTES", o.memory, "Limit of memory: 64m, 1g")
      .Option("--memory-swap BYTES", o.memory_swap, "Limit of memory and swap; -1: no limit")
      .Option("--memory-reservation BYTES", o.memory_reservation, "Soft limit of memory")
      .Option("--memory-swappiness N", o.memory_swappiness, "Readiness to swap, 0 to 100")
      .Option("--cpus NUMBER", o.cpus, "Limit of processor time: 1.5")
      .Option("-c,--cpu-shares N", o.cpu_shares, "Weight against other containers")
      .Option("--cpu-quota N", o.cpu_quota, "Microseconds of processor time a period")
      .Option("--cpu-period N", o.cpu_period, "Length of the period in microseconds")
      .Option("--cpuset-cpus LIST", o.cpuset_cpus, "Processors to use: 0-3,5")
      .Option("--cpuset-mems LIST", o.cpuset_mems, "Memory nodes to use")
      .Option("--pids-limit N", o.pids_limit, "Limit of processes; -1: none")
      .Option("--blkio-weight N", o.blkio_weight, "Weight of block I/O, 10 to 1000")
      .Option("--blkio-weight-device LIST", o.blkio_weight_devices, "The same of one device")
      .Option("--device-read-bps LIST", o.read_bps, "Limit of reading: /dev/sda:1mb")
      .Option("--device-write-bps LIST", o.write_bps, "Limit of writing: /dev/sda:1mb")
      .Option("--device-read-iops LIST", o.read_iops, "Limit of reads a second: /dev/sda:1000")
      .Option("--device-write-iops LIST", o.write_iops, "Limit of writes a second")
      .Option("--ulimit LIST", o.ulimits, "A limit of each process: nofile=1024:2048")
      .Flag("--oom-kill-disable", o.oom_kill_disable, "Do not kill for lack of memory")
      .Option("--oom-score-adj N", o.oom_score_adj, "Preference of the OOM killer, -1000 to 1000")
      .Option("--cgroup-parent PATH", o.cgroup_parent, "Control group above the container's");
}

void BindSecurity(Command& command, CreateOptions& o) {
  command.Flag("--privileged", o.is_privileged, "All capabilities and devices, no filter")
      .Option("--cap-add CAP", o.cap_add, "Add a capability, or ALL")
      .Option("--cap-drop CAP", o.cap_drop, "Drop a capability, or ALL")
      .Option("--security-opt LIST", o.security_options,
              "seccomp=FILE|unconfined, no-new-privileges, apparmor=PROFILE, label=OPTION")
      .Option("--sysctl LIST", o.sysctls, "A setting of the kernel: KEY=VALUE")
      .Option("--device LIST", o.devices, "A device of the host: /dev/x[:/dev/y[:rwm]]")
      .Option("--device-cgroup-rule RULE", o.device_cgroup_rules, "A rule such as \"c 1:3 mr\"")
      .Option("--ipc MODE", o.ipc, "private, shareable, host, none or container:NAME")
      .Option("--pid MODE", o.pid, "host or container:NAME")
      .Option("--uts MODE", o.uts, "host")
      .Option("--userns MODE", o.userns, "host")
      .Option("--cgroupns MODE", o.cgroupns, "private or host");
}

void BindHealthAndLogs(Command& command, CreateOptions& o) {
  command.Option("--health-cmd COMMAND", o.health_command, "A command that checks the health")
      .Option("--health-interval DURATION", o.health_interval, "Time between checks (30s)")
      .Option("--health-timeout DURATION", o.health_timeout, "Time for one check (30s)")
      .Option("--health-start-period DURATION", o.health_start_period,
              "Time to start, in which failures do not count (0s)")
      .Option("--health-start-interval DURATION", o.health_start_interval,
              "Time between checks while starting (5s)")
      .Option("--health-retries N", o.health_retries, "Failures that make it unhealthy (3)")
      .Flag("--no-healthcheck", o.has_no_healthcheck, "Not even the image's check")
      .Option("--log-driver NAME", o.log_driver, "json-file (the default) or none")
      .Option("--log-opt LIST", o.log_options, "max-size=10m, max-file=3");
}

}  // namespace

void BindCreateOptions(Command& command, CreateOptions& options) {
  BindProcess(command, options);
  BindFiles(command, options);
  BindNetwork(command, options);
  BindLimits(command, options);
  BindSecurity(command, options);
  BindHealthAndLogs(command, options);
  command.Rest({"IMAGE [COMMAND [ARG...]]", 1, -1, OptionPlace::kBeforeArguments}, options.words);
}

}  // namespace berth::client
