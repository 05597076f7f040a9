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
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/journal/journal.h"
#include "base/loop/loop.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "base/os/prefault.h"
#include "base/os/process_identity.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"
#include "base/ttrpc/server.h"
#include "proto/berth/shim/v1/handover.pb.h"
#include "shim/handover/envelope.h"
#include "shim/handover/unpacker.h"
#include "shim/service/event_queue.h"
#include "shim/service/shim_log.h"
#include "shim/service/task_service.h"
#include "shim/service/upgrade.h"
#include "shim/service/version.h"

namespace berth::service {
namespace {

namespace v1 = berth::shim::v1;

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

// The program's words, for a program that goes on with them.
std::vector<std::string> WordsOf(const Arguments& arguments) {
  std::vector<std::string> words = {"berth-shim", "-namespace", arguments.namespace_name, "-id",
                                    arguments.id};
  if (!arguments.address.empty()) words.insert(words.end(), {"-address", arguments.address});
  if (arguments.debug) words.push_back("-debug");
  return words;
}

// What a shim is made of, in the order in which it goes.
struct Shim {
  Shim(Loop& on_loop, const Arguments& arguments, BorrowedFd bundle, const std::string& daemon,
       const std::string& seccomp_cache_directory, const ProcessIdentity& self,
       std::unique_ptr<journal::Writer> journal)
      : loop(on_loop),
        log(bundle, arguments.debug ? ShimLog::Level::kDebug : ShimLog::Level::kWarning,
            absl::StrCat("id=", arguments.id, " namespace=", arguments.namespace_name)),
        events(loop, daemon, arguments.namespace_name),
        server(loop),
        context{.loop = loop,
                .events = events,
                .log = log,
                .namespace_name = arguments.namespace_name,
                .seccomp_cache_directory = seccomp_cache_directory,
                .self = self},
        service(context, arguments.id, std::move(journal), [this] { End(); }),
        upgrade({.loop = loop,
                 .server = server,
                 .events = events,
                 .tasks = service,
                 .context = context,
                 .bundle = bundle,
                 .id = arguments.id,
                 .daemon_address = daemon,
                 .arguments = WordsOf(arguments)}) {
    service.Register(server);
    upgrade.Register(server);
  }
  void End() {
    // Made by `start`, so ours to remove; a new shim for the same id may bind it from now on.
    if (const std::string socket = Environment("BERTH_SHIM_SOCKET"); !socket.empty()) {
      ::unlink(socket.c_str());
    }
    events.Flush(kFlushLimit, [this] { loop.Stop(); });
  }

  Loop& loop;
  const ShimLog log;
  EventQueue events;
  ttrpc::Server server;
  ShimContext context;
  TaskService service;
  Upgrade upgrade;
};

}  // namespace

absl::Status RunServe(const Arguments& arguments) {
  SetUpProcess();
  BERTH_ASSIGN_OR_RETURN(UniqueFd listener, TakeListener());
  // What the starter's starter forgot to mark would stay open for a container's life.
  ::close_range(std::max(kBundleFd, listener.get()) + 1, ~0u, 0);
  BERTH_ASSIGN_OR_RETURN(const UniqueFd bundle, TakeBundle(), _ << "the bundle");
  const absl::Status raised = RaiseOomScore();
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
  Shim shim(*loop, arguments, bundle, daemon, SeccompCacheDirectory(), self, std::move(journal));
  if (!raised.ok()) shim.log.Warning(absl::StrCat("OOM score, ignoring: ", raised.message()));
  BERTH_RETURN_IF_ERROR(shim.server.AddListener(std::move(listener)));
  // A task is created next. What it left unused goes back afterwards.
  PrefaultFreeHeapAndStack();
  return loop->Run();
}

namespace {

absl::StatusOr<std::string> ReadBytes(const UniqueFd& file) {
  std::string bytes;
  char buffer[16 << 10];
  while (bytes.size() <= handover::kMaxStateBytes) {
    const ssize_t got = ::pread(file.get(), buffer, sizeof(buffer), bytes.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return ErrnoStatus(errno, "pread", "the shim's state");
    if (got == 0) break;
    bytes.append(buffer, got);
  }
  return bytes;
}

absl::StatusOr<v1::ShimState> Parse(const Arguments& arguments, absl::string_view bytes) {
  BERTH_ASSIGN_OR_RETURN(const std::string state_bytes, handover::Unwrap(bytes));
  v1::ShimState state;
  if (!state.ParseFromString(state_bytes)) {
    return absl::DataLossError("the shim's state is damaged");
  }
  if (state.namespace_() != arguments.namespace_name || state.id() != arguments.id) {
    return absl::FailedPreconditionError("the state is that of another shim");
  }
  return state;
}

// A shim as its earlier program left it, in the order in which it goes.
struct Resumed {
  UniqueFd bundle;
  std::unique_ptr<Loop> loop;
  std::unique_ptr<Shim> shim;
  std::optional<ttrpc::Call> asked;  // the call that asked for all this
};

// Gives the shim back its connections and its tasks.
absl::Status GiveBack(const v1::ShimState& state, handover::Unpacker& unpacker, Resumed& to) {
  Shim& shim = *to.shim;
  BERTH_ASSIGN_OR_RETURN(UniqueFd listener,
                         unpacker.Take(state.listener(), handover::Kind::kSocket, "the listener"));
  BERTH_RETURN_IF_ERROR(shim.server.AddListener(std::move(listener)));
  BERTH_RETURN_IF_ERROR(shim.service.Resume(state, unpacker));
  for (const v1::PeerState& saved : state.peers()) {
    BERTH_ASSIGN_OR_RETURN(UniqueFd socket,
                           unpacker.Take(saved.socket(), handover::Kind::kSocket, "a connection"));
    ttrpc::Server::SavedPeer peer;
    peer.connection.partial_input = saved.partial_input();
    peer.connection.input_bytes_to_discard = saved.input_bytes_to_discard();
    peer.connection.output = saved.output();
    for (const auto& call : saved.calls()) {
      peer.calls.push_back({call.stream(), call.method(), call.payload()});
    }
    peer.own_stream_id = saved.upgrade_stream();
    BERTH_RETURN_IF_ERROR(shim.server.Resume(std::move(socket), std::move(peer), to.asked));
  }
  return unpacker.CheckAllTaken();
}

absl::Status ResumeFrom(const v1::ShimState& state, const Arguments& arguments, handover::Mode mode,
                        const ProcessIdentity& self, Resumed& to) {
  handover::Unpacker unpacker(mode, {state.descriptors().begin(), state.descriptors().end()});
  BERTH_ASSIGN_OR_RETURN(to.bundle,
                         unpacker.Take(state.bundle(), handover::Kind::kDirectory, "the bundle"));
  BERTH_ASSIGN_OR_RETURN(to.loop, Loop::Create());
  to.shim = std::make_unique<Shim>(*to.loop, arguments, to.bundle, state.daemon_address(),
                                   state.seccomp_cache_directory(), self, nullptr);
  return GiveBack(state, unpacker, to);
}

}  // namespace

absl::Status LookAtState(const Arguments& arguments, absl::string_view bytes,
                         const ProcessIdentity& shim) {
  BERTH_ASSIGN_OR_RETURN(const v1::ShimState state, Parse(arguments, bytes));
  Resumed resumed;
  return ResumeFrom(state, arguments, handover::Mode::kCheck, shim, resumed);
}

absl::Status RunResume(const Arguments& arguments) {
  const bool only_looks = arguments.check_state >= 0;
  SetUpProcess();
  BERTH_ASSIGN_OR_RETURN(
      UniqueFd file, Inherited(only_looks ? arguments.check_state : arguments.take_state, S_IFREG));
  ::close_range(kDefaultListenerFd, ~0u, CLOSE_RANGE_CLOEXEC);
  Resumed resumed;
  std::string old_version;
  {
    BERTH_ASSIGN_OR_RETURN(const std::string bytes, ReadBytes(file));
    file.Reset();
    BERTH_ASSIGN_OR_RETURN(const v1::ShimState state, Parse(arguments, bytes));
    // Whoever only looks is a child of the shim.
    BERTH_ASSIGN_OR_RETURN(const ProcessIdentity self,
                           ReadProcessIdentity(only_looks ? ::getppid() : ::getpid()));
    BERTH_RETURN_IF_ERROR(ResumeFrom(state, arguments,
                                     only_looks ? handover::Mode::kCheck : handover::Mode::kTake,
                                     self, resumed));
    old_version = state.program_version();
  }
  if (only_looks) {
    const std::string yes = absl::StrCat("ok ", kVersion, "\n");
    BERTH_RETURN_IF_ERROR(WriteAll(BorrowedFd(STDOUT_FILENO), yes));
    ::_exit(0);  // nothing of the shim's may be taken down by an end of ours
  }
  if (resumed.asked.has_value()) {
    v1::UpgradeResponse response;
    response.set_old_version(old_version);
    response.set_new_version(kVersion);
    resumed.asked->Reply(response.SerializeAsString());
    resumed.asked.reset();
  }
  ::malloc_trim(0);
  return resumed.loop->Run();
}

}  // namespace berth::service
