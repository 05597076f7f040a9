// berth: the command line. Reads the global options, finds the command, runs it, explains what went
// wrong.
#include <cstdio>
#include <cstdlib>
#include <string>

#include "base/os/lock_checks.h"
#include "base/os/short_life.h"
#include "client/commands/client_version.h"
#include "client/commands/command.h"
#include "client/commands/context.h"
#include "client/commands/verbs.h"
#include "client/docker/docker_verbs.h"

namespace berth::client {
namespace {

std::string FromEnvironment(const char* name, const char* fallback) {
  const char* value = ::getenv(name);
  return value != nullptr && *value != '\0' ? value : fallback;
}

GlobalOptions Defaults() {
  GlobalOptions options;
  options.address = FromEnvironment("BERTH_ADDRESS", "/run/berth/berth.sock");
  options.ns = FromEnvironment("BERTH_NAMESPACE", "default");
  options.snapshotter = FromEnvironment("BERTH_SNAPSHOTTER", "");
  options.log_directory = FromEnvironment("BERTH_LOG_DIR", "/var/lib/berth/logs");
  options.fifo_directory = FromEnvironment("BERTH_FIFO_DIR", "/run/berth/fifo");
  return options;
}

constexpr char kObjects[] = "Objects of containerd";

void AddCommands(CommandTree& tree, const Context& context) {
  Command root = tree.root();
  AddDockerVerbs(root, context);
  AddDockerContainerVerbs(AddContainer(root, context), context);
  AddDockerImageVerbs(AddImage(root, context), context);
  AddTask(root, context);
  AddSnapshot(root, context);
  AddContent(root, context);
  AddLease(root, context);
  AddNamespace(root, context);
  AddEvent(root, context);
  AddPlugin(root, context);
  AddHelp(tree, context);
  tree.SetGroup("Containers", {"run", "create", "start", "stop", "restart", "kill", "pause",
                               "unpause", "wait", "rename", "update", "rm"});
  tree.SetGroup("Looking", {"ps", "logs", "inspect", "top", "stats", "port", "diff", "events",
                            "info", "version"});
  tree.SetGroup("Entering", {"exec", "attach", "cp"});
  tree.SetGroup("Objects", {"container", "image", "images", "volume", "system"});
  tree.SetGroup(kObjects,
                {"task", "snapshot", "content", "lease", "namespace", "event", "plugin", "shim"});
}

int Main(int argc, char** argv) {
  GlobalOptions options = Defaults();
  const Context context(options);
  CommandTree tree("berth", "Runs containers through berthd, or any server of containerd's API.");
  Command root = tree.root();
  root.Option("-a,--address SOCKET", options.address,
              "Socket of the server, or tcp://HOST:PORT (BERTH_ADDRESS; default "
              "/run/berth/berth.sock)")
      .Option("-n,--namespace", options.ns, "Namespace (BERTH_NAMESPACE; default \"default\")")
      .Option("--snapshotter NAME", options.snapshotter,
              "Snapshotter (BERTH_SNAPSHOTTER; default: the namespace's, else overlayfs)")
      .Option("--log-dir DIR", options.log_directory,
              "Where `task start -d` puts output (BERTH_LOG_DIR; default /var/lib/berth/logs)")
      .Flag("--tlsverify", options.is_tls_wanted, "TLS on TCP, also where no file is named")
      .Option("--tlscacert FILE", options.tls.authority,
              "Who issued the server's certificate (BERTH_TLS_CACERT; default: the system's "
              "authorities)")
      .Option("--tlscert FILE", options.tls.certificate, "Certificate to show (BERTH_TLS_CERT)")
      .Option("--tlskey FILE", options.tls.key, "Its key (BERTH_TLS_KEY)")
      .Option("--tlsname NAME", options.tls.server_name,
              "Whom the server's certificate must be for (BERTH_TLS_NAME; default: HOST)")
      .Examples(
          "  berth image load -i busybox.tar\n"
          "  berth run --rm busybox echo hi\n"
          "  berth run -d --name web busybox httpd -f\n"
          "  berth ps -a; berth logs -f web; berth exec -it web sh; berth rm -f web\n");
  AddCommands(tree, context);

  const CommandTree::Parsed parsed = tree.Parse(argc, argv);
  if (!parsed.action) return parsed.exit_code;
  const absl::StatusOr<int> result = parsed.action();
  if (result.ok()) return *result;
  std::fprintf(stderr, "%s: %s\n", parsed.command.c_str(),
               std::string(result.status().message()).c_str());
  return kExitFailure;
}

}  // namespace
}  // namespace berth::client

int main(int argc, char** argv) {
  berth::PrepareShortLife();
  berth::DropLockOrderChecks();
  return berth::client::Main(argc, argv);
}
