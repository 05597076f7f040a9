#include "shim/service/serve_command.h"

#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/journal/journal.h"
#include "base/loop/loop.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "base/os/process_identity.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"
#include "base/ttrpc/server.h"
#include "shim/service/event_queue.h"
#include "shim/service/shim_log.h"
#include "shim/service/task_service.h"

namespace berth::service {
namespace {

constexpr int kDefaultListenerFd = 3;
constexpr int kBundleFd = 4;
// How long an ending shim waits for the daemon to take its last events.
constexpr absl::Duration kFlushLimit = absl::Seconds(10);

std::string Environment(const char* name) {
  const char* value = ::getenv(name);
  return value == nullptr ? "" : value;
}

// Before anything else is done or known.
void SetUpProcess() {
  // A container that gets hold of a descriptor of ours through /proc could climb out by it.
  ::prctl(PR_SET_DUMPABLE, 0);
  ::prctl(PR_SET_NAME, "berth-shim");
  // Nothing but the end of its tasks ends a shim: their exit status would be lost. A client that
  // leaves its FIFO must not do it either.
  for (const int signal : {SIGPIPE, SIGHUP, SIGINT, SIGTERM}) ::signal(signal, SIG_IGN);
  // Give memory back early: the steady state is small, and there may be thousands of us.
  ::mallopt(M_TRIM_THRESHOLD, 32 << 10);
  ::mallopt(M_TOP_PAD, 4 << 10);
  ::mallopt(M_MMAP_THRESHOLD, 64 << 10);
}

// One above the parent's, which is the daemon's: of the two the kernel rather ends the shim, and
// only one container suffers. Its children begin with the value that the runtime sets for them.
absl::Status RaiseOomScore() {
  constexpr char kPath[] = "/proc/self/oom_score_adj";
  BERTH_ASSIGN_OR_RETURN(const std::string text, ReadFile(kPath, 64));
  int score = 0;
  if (!absl::SimpleAtoi(absl::StripAsciiWhitespace(text), &score)) {
    return absl::InternalError(absl::StrCat("malformed ", kPath));
  }
  return WriteControlFileAt(BorrowedFd(AT_FDCWD), kPath, absl::StrCat(std::min(score + 1, 1000)));
}

absl::StatusOr<UniqueFd> Inherited(int fd, mode_t type) {
  struct stat info;
  if (::fstat(fd, &info) != 0 || (info.st_mode & S_IFMT) != type) {
    return absl::FailedPreconditionError(
        absl::StrCat("descriptor ", fd, " is not what it must be"));
  }
  if (::fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) return ErrnoStatus(errno, "fcntl(F_SETFD)");
  return UniqueFd(fd);
}

absl::StatusOr<UniqueFd> TakeListener() {
  int fd = kDefaultListenerFd;
  if (const std::string number = Environment("BERTH_SHIM_FD");
      !number.empty() && !absl::SimpleAtoi(number, &fd)) {
    return absl::InvalidArgumentError(absl::StrCat("BERTH_SHIM_FD is \"", number, "\""));
  }
  BERTH_ASSIGN_OR_RETURN(UniqueFd listener, Inherited(fd, S_IFSOCK),
                         _ << "the listening socket (a shim is started by a daemon, or by its "
                              "`start` command)");
  return listener;
}

absl::StatusOr<UniqueFd> TakeBundle() {
  auto bundle = Inherited(kBundleFd, S_IFDIR);
  if (bundle.ok()) return bundle;
  return OpenFile(".", O_RDONLY | O_DIRECTORY);
}

// <state>/seccomp, for a bundle at <state>/io.containerd.runtime.v2.task/<namespace>/<id>.
std::string SeccompCacheDirectory() {
  char buffer[4096];
  if (::getcwd(buffer, sizeof(buffer)) == nullptr) return "";
  std::string path = buffer;
  const size_t tasks = path.rfind("/io.containerd.runtime.v2.task/");
  return tasks == std::string::npos ? "" : absl::StrCat(path.substr(0, tasks), "/seccomp");
}

}  // namespace

absl::Status RunServe(const Arguments& arguments) {
  SetUpProcess();
  BERTH_ASSIGN_OR_RETURN(UniqueFd listener, TakeListener());
  // What the starter's starter forgot to mark would stay open for a container's life.
  ::close_range(std::max(kBundleFd, listener.get()) + 1, ~0u, 0);
  BERTH_ASSIGN_OR_RETURN(const UniqueFd bundle, TakeBundle(), _ << "the bundle");
  const ShimLog log(bundle, arguments.debug ? ShimLog::Level::kDebug : ShimLog::Level::kWarning,
                    absl::StrCat("id=", arguments.id, " namespace=", arguments.namespace_name));
  if (const absl::Status raised = RaiseOomScore(); !raised.ok()) {
    log.Warning(absl::StrCat("OOM score, ignoring: ", raised.message()));
  }
  BERTH_ASSIGN_OR_RETURN(const ProcessIdentity self, ReadProcessIdentity(::getpid()));
  BERTH_ASSIGN_OR_RETURN(
      auto journal,
      journal::Writer::Create(bundle, journal::Header{.boot_id = "",
                                                      .namespace_name = arguments.namespace_name,
                                                      .container_id = arguments.id,
                                                      .shim = self}),
      _ << "journal of task \"" << arguments.id << "\"");

  BERTH_ASSIGN_OR_RETURN(const auto loop, Loop::Create());
  std::string daemon = Environment("TTRPC_ADDRESS");
  if (daemon.empty() && !arguments.address.empty()) {
    daemon = absl::StrCat(arguments.address, ".ttrpc");
  }
  EventQueue events(*loop, daemon, arguments.namespace_name);
  ttrpc::Server server(*loop);
  ShimContext context{.loop = *loop,
                      .events = events,
                      .log = log,
                      .namespace_name = arguments.namespace_name,
                      .seccomp_cache_directory = SeccompCacheDirectory()};
  TaskService service(context, arguments.id, std::move(journal), [&] {
    // Made by `start`, so ours to remove; a new shim for the same id may bind it from now on.
    if (const std::string socket = Environment("BERTH_SHIM_SOCKET"); !socket.empty()) {
      ::unlink(socket.c_str());
    }
    events.Flush(kFlushLimit, [&] { loop->Stop(); });
  });
  service.Register(server);
  BERTH_RETURN_IF_ERROR(server.AddListener(std::move(listener)));
  ::malloc_trim(0);
  return loop->Run();
}

}  // namespace berth::service
