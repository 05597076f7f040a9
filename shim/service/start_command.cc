#include "shim/service/start_command.h"

#include <fcntl.h>
#include <sha2.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/json/document.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "base/os/spawn.h"
#include "base/status/status_macros.h"
#include "shim/security/self_image.h"
#include "shim/service/bootstrap.h"
#include "shim/service/runtime_options.h"
#include "shim/service/shim_cgroup.h"

extern char** environ;

namespace berth::service {
namespace {

constexpr char kSocketDirectory[] = "/run/containerd/s";  // compiled into containerd as well
constexpr int kBacklog = 64;
constexpr size_t kConfigLimitBytes = 16u << 20;
constexpr size_t kInputLimitBytes = 4u << 20;

std::string Environment(const char* name) {
  const char* value = ::getenv(name);
  return value == nullptr ? "" : value;
}

std::string Sha256Hex(const std::string& text) {
  char hex[SHA256_DIGEST_STRING_LENGTH];
  return ::SHA256Data(reinterpret_cast<const uint8_t*>(text.data()), text.size(), hex);
}

// The key under which containers share a shim: an annotation, or the container's own id.
std::string GroupOf(const Arguments& arguments) {
  constexpr absl::string_view kKeys[] = {"io.containerd.runc.v2.group",
                                         "io.kubernetes.cri.sandbox-id"};
  auto config = ReadFile("config.json", kConfigLimitBytes);
  if (!config.ok()) return arguments.id;  // Create says what is wrong with it
  // Most have none: they are not worth parsing 70 KB.
  bool mentioned = false;
  for (const absl::string_view key : kKeys) mentioned |= absl::StrContains(*config, key);
  if (!mentioned) return arguments.id;
  const auto document = json::Document::Parse(*std::move(config));
  if (!document.ok()) return arguments.id;
  const json::Value annotations = document->root().Find("annotations");
  for (const absl::string_view key : kKeys) {
    const absl::string_view group = annotations.Find(key).text();
    if (!group.empty()) return std::string(group);
  }
  return arguments.id;
}

absl::Status SpawnShim(const Arguments& arguments, const std::string& path,
                       const RuntimeOptions& options) {
  BERTH_ASSIGN_OR_RETURN(const UniqueFd listener, ListenUnix(path, 0600, kBacklog));
  BERTH_ASSIGN_OR_RETURN(const UniqueFd bundle, OpenFile(".", O_RDONLY | O_DIRECTORY));
  SpawnOptions spawn;
  // What runs from the file itself could be overwritten from inside of a container.
  BERTH_ASSIGN_OR_RETURN(const UniqueFd image, security::OpenProtectedSelf());
  constexpr int kAboveTheChilds = 32;
  BERTH_ASSIGN_OR_RETURN(const UniqueFd program, DupFd(image, kAboveTheChilds));
  spawn.executable = absl::StrCat("/proc/self/fd/", program.get());
  spawn.arguments = {"berth-shim", "-namespace", arguments.namespace_name, "-id", arguments.id};
  if (!arguments.address.empty()) {
    spawn.arguments.push_back("-address");
    spawn.arguments.push_back(arguments.address);
  }
  if (arguments.debug) spawn.arguments.push_back("-debug");
  for (char** variable = environ; *variable != nullptr; ++variable) {
    spawn.environment.push_back(*variable);
  }
  spawn.environment.push_back("BERTH_SHIM_FD=3");
  spawn.environment.push_back(absl::StrCat("BERTH_SHIM_SOCKET=", path));
  spawn.descriptors = {{3, listener.get()}, {4, bundle.get()}};
  spawn.session = SpawnOptions::Session::kNew;
  BERTH_ASSIGN_OR_RETURN(ChildProcess shim, Spawn(spawn), _ << "start the shim");
  if (!options.shim_cgroup.empty()) {
    BERTH_RETURN_IF_ERROR(JoinCgroup(options.shim_cgroup, shim.pid()))
        << "runtime option ShimCgroup";
  }
  (void)shim.Detach();  // it lives on its own from here
  return absl::OkStatus();
}

}  // namespace

absl::Status RunStart(const Arguments& arguments) {
  BERTH_ASSIGN_OR_RETURN(const std::string input,
                         ReadAll(BorrowedFd(STDIN_FILENO), kInputLimitBytes), _ << "stdin");
  const BootstrapRequest request =
      ParseBootstrap(input, arguments.id, Environment("MAX_SHIM_VERSION"));
  BERTH_ASSIGN_OR_RETURN(const RuntimeOptions options, DecodeRuntimeOptions(request.options));
  const std::string directory =
      request.socket_directory.empty() ? kSocketDirectory : request.socket_directory;
  BERTH_RETURN_IF_ERROR(EnsureDirectory(directory, 0711));
  const std::string path =
      absl::StrCat(directory, "/",
                   Sha256Hex(absl::StrCat(arguments.address, "/", arguments.namespace_name, "/",
                                          GroupOf(arguments))));
  const std::string address = absl::StrCat("unix://", path);
  // Another container of the group has started the shim already.
  if (!ConnectUnix(path, SOCK_NONBLOCK).ok()) {
    BERTH_RETURN_IF_ERROR(SpawnShim(arguments, path, options));
  }
  // containerd up to 1.7 finds the shim again by this file.
  BERTH_RETURN_IF_ERROR(
      ReplaceFileAt(BorrowedFd(AT_FDCWD), "address", address, 0600, Durability::kUnsynced));
  return WriteAll(BorrowedFd(STDOUT_FILENO), BootstrapAnswer(request.answer, address));
}

}  // namespace berth::service
