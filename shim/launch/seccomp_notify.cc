#include "shim/launch/seccomp_notify.h"

#include <sys/socket.h>

#include "base/json/writer.h"
#include "base/os/descriptor_message.h"
#include "base/os/fd_factories.h"
#include "base/status/status_macros.h"

namespace berth::launch {

absl::Status SendSeccompListener(const SeccompAgent& agent, BorrowedFd listener, pid_t pid,
                                 absl::string_view oci_version, const std::string& state_json) {
  if (agent.path.empty()) {
    return absl::FailedPreconditionError(
        "a seccomp rule says SCMP_ACT_NOTIFY, but $.linux.seccomp.listenerPath names no agent");
  }
  BERTH_ASSIGN_OR_RETURN(const UniqueFd socket, ConnectUnix(agent.path, SOCK_NONBLOCK),
                         _ << "$.linux.seccomp.listenerPath");
  json::Writer writer;
  writer.BeginObject().Key("ociVersion").String(oci_version);
  writer.Key("fds").BeginArray().String("seccompFd").EndArray().Key("pid").Int(pid);
  writer.Key("metadata").String(agent.metadata).Key("state").Raw(state_json).EndObject();
  BERTH_RETURN_IF_ERROR(SendDescriptor(socket, writer.Take(), listener))
      << "send the seccomp listener to " << agent.path;
  return absl::OkStatus();
}

}  // namespace berth::launch
