#include "client/commands/run_options.h"

namespace berth::client {

void BindRunOptions(Command& command, RunOptions& options) {
  command.Option("--name", options.name, "Name of the container, which is also its id")
      .Flag("-t,--tty", options.has_terminal, "Give the program a terminal")
      .Option("-e,--env", options.environment, "KEY=value, or KEY to pass your own value on")
      .Option("--env-file", options.environment_files, "Read KEY=value lines from a file")
      .Option("-v,--volume", options.volumes, "Bind a host path: SOURCE:DESTINATION[:ro]")
      .Option("--tmpfs", options.tmpfs, "Mount a tmpfs: PATH[:size=64m,...]")
      .Option("-w,--workdir", options.working_directory, "Working directory of the program")
      .Option("-u,--user", options.user, "NAME|UID[:GROUP|GID]")
      .Option("--entrypoint", options.entrypoint, "Replace the image's entry point")
      .Option("--hostname", options.hostname, "Host name (default: the container's id)")
      .Option("-l,--label", options.labels, "KEY=value on the container's record")
      .Option("--net,--network", options.network, "none (the default) or host")
      .Option("-m,--memory", options.memory, "Limit of memory: 64m, 1g")
      .Option("--cpus", options.cpus, "Limit of processor time: 1.5")
      .Option("--pids-limit", options.pids_limit, "Limit of processes")
      .Flag("--read-only", options.is_read_only, "Make the root read-only")
      .Flag("--privileged", options.is_privileged, "All capabilities and devices, no filter")
      .Option("--cap-add", options.capabilities_added, "Add a capability, or ALL")
      .Option("--cap-drop", options.capabilities_dropped, "Drop a capability, or ALL")
      .Option("--security-opt", options.security_options, "no-new-privileges, seccomp=unconfined")
      .Option("--stop-signal", options.stop_signal, "What `berth stop` sends")
      .Option("--runtime", options.runtime, "Runtime name, as containerd knows it");
}

}  // namespace berth::client
