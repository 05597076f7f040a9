// What `berth run` and `berth container create` may be told about a new container. Plain data and
// its binding to the command line; container_factory.h makes a container of it.
#ifndef BERTH_CLIENT_COMMANDS_RUN_OPTIONS_H_
#define BERTH_CLIENT_COMMANDS_RUN_OPTIONS_H_

#include <string>
#include <vector>

#include "client/commands/command.h"

namespace berth::client {

struct RunOptions {
  std::string image;
  std::vector<std::string> command;  // empty: the image's

  std::string name;
  std::string hostname;
  std::vector<std::string> environment;
  std::vector<std::string> environment_files;
  std::vector<std::string> volumes;
  std::vector<std::string> tmpfs;
  std::string working_directory;
  std::string user;
  std::string entrypoint;
  std::vector<std::string> labels;
  std::string network = "none";
  std::string memory;
  double cpus = 0;
  int pids_limit = 0;
  bool is_read_only = false;
  bool is_privileged = false;
  std::vector<std::string> capabilities_added;
  std::vector<std::string> capabilities_dropped;
  std::vector<std::string> security_options;
  std::string stop_signal;
  std::string runtime = "io.containerd.runc.v2";

  bool has_terminal = false;
};

// Declares the options that describe a container; `options` must outlive the command.
void BindRunOptions(Command& command, RunOptions& options);

}  // namespace berth::client

#endif  // BERTH_CLIENT_COMMANDS_RUN_OPTIONS_H_
