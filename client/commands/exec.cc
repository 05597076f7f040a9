// berth exec: one more process in a running container.
#include "client/commands/exec_runner.h"
#include "client/commands/verbs.h"

namespace berth::client {

void AddExec(Command root, const Context& context) {
  auto options = std::make_shared<ExecOptions>();
  Command exec = root.Add("exec", "Run a command in a running container");
  BindExecOptions(exec, *options);
  exec.Examples("  berth exec -it web sh\n  berth exec -u www -e DEBUG=1 web id\n")
      .Do([&context, options] { return RunExec(context, *options); });
}

}  // namespace berth::client
