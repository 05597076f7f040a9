#include "shim/launch/foreign_container.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/json/document.h"
#include "base/os/descriptor_message.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "base/os/process_identity.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"
#include "shim/cgroup/hierarchy.h"
#include "shim/cgroup/stats.h"
#include "shim/launch/clone.h"
#include "shim/rootfs/rootfs_mount.h"

namespace berth::launch {
namespace {

constexpr size_t kConfigLimitBytes = 16u << 20;
constexpr char kRecord[] = "/foreign-runtime";  // of the bundle: binary, root, driver, id, rootfs
constexpr absl::Duration kUpdateTimeout = absl::Seconds(10);
constexpr absl::Duration kDeleteTimeout = absl::Seconds(60);

absl::StatusOr<pid_t> ReadPid(const std::string& path) {
  BERTH_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, 64), _ << "the runtime's pid file");
  int pid = 0;
  if (!absl::SimpleAtoi(absl::StripAsciiWhitespace(text), &pid) || pid <= 1) {
    return absl::InternalError(absl::StrCat("the runtime's pid file holds \"", text, "\""));
  }
  return pid;
}

// mount(2) of each on the host. Runs in a child.
absl::Status MountOnHost(const std::vector<rootfs::PreparedMount>& mounts,
                         const std::string& root) {
  BERTH_RETURN_IF_ERROR(EnsureDirectory(root, 0711));
  for (const rootfs::PreparedMount& mount : mounts) {
    if (!mount.pieces.empty()) {
      return absl::UnimplementedError("a root filesystem of so many layers for another runtime");
    }
    if (!mount.working_directory.empty() && ::chdir(mount.working_directory.c_str()) != 0) {
      return ErrnoStatus(errno, "chdir", mount.working_directory);
    }
    const std::string target = mount.target.empty() ? root : absl::StrCat(root, "/", mount.target);
    if (::mount(mount.source.c_str(), target.c_str(), mount.type.c_str(), mount.flags,
                mount.data.c_str()) != 0) {
      return ErrnoStatus(errno, "mount", target);
    }
    // A bind mount takes its other flags only when it is made again.
    constexpr unsigned long kKept = MS_BIND | MS_REC;
    if ((mount.flags & MS_BIND) != 0 && (mount.flags & ~kKept) != 0 &&
        ::mount("", target.c_str(), "", mount.flags | MS_REMOUNT, "") != 0) {
      return ErrnoStatus(errno, "remount", target);
    }
    if (mount.propagation != 0 &&
        ::mount("", target.c_str(), "", mount.propagation, nullptr) != 0) {
      return ErrnoStatus(errno, "mount propagation of", target);
    }
  }
  return absl::OkStatus();
}

// All that is mounted at `root`, and not more than a few times over.
absl::Status UnmountFromHost(const std::string& root) {
  for (int i = 0; i < 16; ++i) {
    if (::umount2(root.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) == 0) continue;
    if (errno == EINVAL || errno == ENOENT) return absl::OkStatus();  // nothing there
    return ErrnoStatus(errno, "umount", root);
  }
  return absl::OkStatus();
}

// The groups that `pid` is in, without those that this process shares with it: a runtime that makes
// no group of its own must not give us one to kill.
absl::StatusOr<cgroup::Cgroup> CgroupOf(pid_t pid) {
  constexpr char kMounts[] = "/sys/fs/cgroup";
  BERTH_ASSIGN_OR_RETURN(const std::string theirs_text,
                         ReadFile(absl::StrCat("/proc/", pid, "/cgroup"), 1u << 20));
  BERTH_ASSIGN_OR_RETURN(const auto theirs, cgroup::FindHierarchies(theirs_text, kMounts));
  BERTH_ASSIGN_OR_RETURN(const auto ours, cgroup::FindHierarchies());
  std::set<std::string> own;
  for (const auto& hierarchy : ours) own.insert(hierarchy.mount_point + hierarchy.own_path);
  std::vector<std::string> paths;
  for (const auto& hierarchy : theirs) {
    const std::string path = hierarchy.mount_point + hierarchy.own_path;
    if (hierarchy.own_path != "/" && own.count(path) == 0) paths.push_back(path);
  }
  return cgroup::Cgroup::Open(paths);
}

}  // namespace

// The runtime's end of a terminal: it connects and sends the master.
struct ForeignContainer::Console {
  std::string directory;
  std::string path;
  UniqueFd listener;

  static absl::StatusOr<std::shared_ptr<Console>> Make() {
    auto console = std::make_shared<Console>();
    // A socket's path has 107 bytes, and a bundle's may have more.
    for (const char* pattern : {"/run/berth-pty-XXXXXX", "/tmp/berth-pty-XXXXXX"}) {
      std::string directory = pattern;
      if (::mkdtemp(directory.data()) == nullptr) continue;
      console->directory = directory;
      console->path = directory + "/pty.sock";
      BERTH_ASSIGN_OR_RETURN(console->listener, ListenUnix(console->path, 0600, 1));
      return console;
    }
    return ErrnoStatus(errno, "mkdtemp", "/run/berth-pty-XXXXXX");
  }
  ~Console() {
    if (directory.empty()) return;
    (void)::unlink(path.c_str());
    (void)::rmdir(directory.c_str());
  }
  // What the runtime, which has ended well, has sent.
  absl::StatusOr<UniqueFd> Receive() {
    const UniqueFd peer(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!peer.valid()) return ErrnoStatus(errno, "accept4", "the runtime's console");
    BERTH_ASSIGN_OR_RETURN(DescriptorMessage message, ReceiveDescriptor(peer, 64, MSG_DONTWAIT),
                           _ << "the runtime's console");
    if (!message.descriptor.valid()) return absl::InternalError("the runtime sent no terminal");
    return std::move(message.descriptor);
  }
};

std::string DefaultForeignRoot(const std::string& bundle) {
  const size_t tasks = bundle.rfind("/io.containerd.runtime.v2.task/");
  return tasks == std::string::npos ? "/run/berth-runtimes"
                                    : absl::StrCat(bundle.substr(0, tasks), "/runtimes");
}

absl::Status CleanupForeign(const std::string& bundle, absl::Duration timeout) {
  const auto text = ReadFile(absl::StrCat(bundle, kRecord), 64u << 10);
  if (!text.ok()) return absl::OkStatus();
  const std::vector<std::string> fields = absl::StrSplit(*text, '\n');
  if (fields.size() < 5) return absl::DataLossError(absl::StrCat(bundle, kRecord, " is damaged"));
  const ForeignRuntime runtime{fields[0], fields[1], fields[2] == "systemd"};
  RuntimeInvocation invocation;
  invocation.arguments = {"delete", "--force", fields[3]};
  invocation.log = bundle + "/runtime.log";
  invocation.working_directory = bundle;
  invocation.timeout = timeout;
  // One that never heard of it, or is not installed any more, has nothing that would be in the way.
  RuntimeCommand::Run(runtime, invocation).IgnoreError();
  return fields[4].empty() ? absl::OkStatus() : UnmountFromHost(fields[4]);
}

ForeignContainer::ForeignContainer(Loop& loop, ForeignRuntime runtime)
    : loop_(loop), runtime_(std::move(runtime)) {}
ForeignContainer::~ForeignContainer() = default;

std::string ForeignContainer::File(absl::string_view name) const {
  return absl::StrCat(bundle_, "/", name);
}

void ForeignContainer::Create(CreateOptions options, Done done) {
  create_done_ = std::move(done);
  id_ = options.id;
  bundle_ = options.bundle;
  create_stdio_ = std::move(options.stdio);
  if (options.root_switch == RootSwitch::kMoveMount) create_flags_.push_back("--no-pivot");
  if (options.keyring == Keyring::kInherit) create_flags_.push_back("--no-new-keyring");
  if (!options.network_namespace.empty()) {
    warnings_.push_back("another runtime makes the restarted container a new network namespace");
  }
  const auto prepare = [&]() -> absl::Status {
    // Whose init and execs are orphaned when the runtime ends become ours to wait for.
    if (::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0) return ErrnoStatus(errno, "prctl");
    BERTH_ASSIGN_OR_RETURN(std::string config, ReadFile(File("config.json"), kConfigLimitBytes));
    BERTH_ASSIGN_OR_RETURN(const auto document, json::Document::Parse(std::move(config)),
                           _ << "config.json");
    const std::string path(document.root().Find("root").Find("path").text());
    rootfs_ = path.empty() || path[0] != '/' ? File(path.empty() ? "rootfs" : path) : path;
    // A root that somebody else mounted is theirs to unmount.
    const bool ours = !options.rootfs_mounts.empty();
    BERTH_RETURN_IF_ERROR(
        ReplaceFileAt(BorrowedFd(AT_FDCWD), absl::StrCat(bundle_, kRecord),
                      absl::StrCat(runtime_.binary, "\n", runtime_.root, "\n",
                                   runtime_.systemd_cgroup ? "systemd" : "cgroupfs", "\n", id_,
                                   "\n", ours ? rootfs_ : "", "\n"),
                      0600, Durability::kUnsynced));
    if (!ours) return absl::OkStatus();
    BERTH_ASSIGN_OR_RETURN(auto mounts, rootfs::PrepareRootfs(options.rootfs_mounts));
    for (const rootfs::PreparedMount& mount : mounts) {
      // The mapped layers would have to lie over the host's own.
      if (mount.uid_mappings.empty()) continue;
      return absl::UnimplementedError(
          "a root filesystem whose layers are shown by maps of ids needs the native runtime; make "
          "the snapshot without the labels containerd.io/snapshot/uidmapping and gidmapping");
    }
    mounted_ = true;
    mounter_ = std::make_unique<StatusChild>(loop_, "mount the root filesystem");
    return mounter_->Start([&] { return MountOnHost(mounts, rootfs_); },
                           [this](absl::Status status) {
                             loop_.Post([this, alive = std::weak_ptr<bool>(alive_),
                                         status = std::move(status)]() mutable {
                               if (alive.expired()) return;
                               mounter_.reset();
                               if (!status.ok()) return FailCreate(std::move(status));
                               RunCreate();
                             });
                           });
  };
  if (absl::Status status = prepare(); !status.ok()) {
    loop_.Post([this, alive = std::weak_ptr<bool>(alive_), status = std::move(status)]() mutable {
      if (!alive.expired()) FailCreate(std::move(status));
    });
  } else if (!mounted_) {
    loop_.Post([this, alive = std::weak_ptr<bool>(alive_)] {
      if (!alive.expired()) RunCreate();
    });
  }
}

absl::StatusOr<bool> ForeignContainer::WantsTerminal(const std::string& json,
                                                     Document which) const {
  BERTH_ASSIGN_OR_RETURN(const auto document, json::Document::Parse(json));
  const json::Value process =
      which == Document::kConfig ? document.root().Find("process") : document.root();
  return process.Find("terminal").kind() == json::Kind::kTrue;
}

void ForeignContainer::RunCreate() {
  if (cancelled_) return FailCreate(absl::CancelledError("create was cancelled"));
  std::shared_ptr<Console> console;
  const auto config = ReadFile(File("config.json"), kConfigLimitBytes);
  if (!config.ok()) return FailCreate(config.status());
  const auto terminal = WantsTerminal(*config, Document::kConfig);
  if (!terminal.ok()) return FailCreate(terminal.status());
  RuntimeInvocation invocation;
  invocation.arguments = {"create", "--bundle", bundle_, "--pid-file", File("runtime.pid")};
  invocation.arguments.insert(invocation.arguments.end(), create_flags_.begin(),
                              create_flags_.end());
  if (*terminal) {
    auto made = Console::Make();
    if (!made.ok()) return FailCreate(made.status());
    console = *std::move(made);
    invocation.arguments.insert(invocation.arguments.end(), {"--console-socket", console->path});
    create_stdio_ = {};
  }
  invocation.arguments.push_back(id_);
  Console* const raw = console.get();
  Command(std::move(invocation), std::move(create_stdio_), console,
          [this, raw](absl::Status status) { Created(std::move(status), raw); });
  creating_ = running_.empty() ? nullptr : running_.back().command.get();
}

void ForeignContainer::Created(absl::Status status, Console* console) {
  creating_ = nullptr;
  made_ = true;  // or half of it: delete --force looks
  if (status.ok() && cancelled_) status = absl::CancelledError("create was cancelled");
  if (status.ok()) status = TakeInit(console);
  if (!status.ok()) return FailCreate(std::move(status));
  Done done = std::move(create_done_);
  done(absl::OkStatus());
}

absl::Status ForeignContainer::TakeInit(Console* console) {
  if (console != nullptr) {
    BERTH_ASSIGN_OR_RETURN(console_, console->Receive());
  }
  BERTH_ASSIGN_OR_RETURN(init_pid_, ReadPid(File("runtime.pid")));
  known_.insert(init_pid_);
  BERTH_ASSIGN_OR_RETURN(init_pidfd_, OpenPidFd(init_pid_));
  BERTH_ASSIGN_OR_RETURN(const ProcessIdentity identity, ReadProcessIdentity(init_pid_));
  init_start_time_ticks_ = identity.start_time_ticks;
  auto group = CgroupOf(init_pid_);
  if (group.ok()) {
    cgroup_ = *std::move(group);
  } else {
    warnings_.push_back(
        absl::StrCat("no control group of the container is known: ", group.status().message()));
  }
  return absl::OkStatus();
}

// Nothing is left when `done` is called.
void ForeignContainer::FailCreate(absl::Status reason) {
  Cleanup([this, reason = std::move(reason)](absl::Status cleaned) mutable {
    if (!cleaned.ok()) warnings_.push_back(std::string(cleaned.message()));
    Done done = std::move(create_done_);
    done(std::move(reason));
  });
}

void ForeignContainer::Cancel() {
  if (!create_done_) return;
  cancelled_ = true;
  if (creating_ != nullptr) creating_->Kill();
}

void ForeignContainer::Command(RuntimeInvocation invocation, Stdio stdio,
                               std::shared_ptr<Console> console, Done done) {
  const absl::Status root = EnsureDirectory(runtime_.root, 0711);
  invocation.log = File(absl::StrCat("runtime-", next_file_++, ".log"));
  invocation.working_directory = bundle_;
  int number = 0;
  for (const UniqueFd* end : {&stdio.in, &stdio.out, &stdio.err}) {
    if (end->valid()) invocation.descriptors.emplace_back(number, end->get());
    ++number;
  }
  running_.push_back({nullptr, std::move(console), std::move(stdio)});
  const auto place = std::prev(running_.end());
  auto shared_done = std::make_shared<Done>(std::move(done));
  const auto ended = [this, place, log = invocation.log, shared_done](absl::Status status) {
    // Its handler is on the stack: it goes with the next round.
    auto over = std::make_shared<std::list<Running>>();
    over->splice(over->end(), running_, place);
    known_.erase(over->front().command == nullptr ? -1 : over->front().command->pid());
    (void)::unlink(log.c_str());
    loop_.Post([over] {});
    const std::weak_ptr<bool> alive = alive_;
    (*shared_done)(std::move(status));
    if (!alive.expired()) ReapStrangers();
  };
  absl::Status failed = root;
  if (failed.ok()) {
    auto command = RuntimeCommand::Start(loop_, runtime_, invocation, ended);
    if (command.ok()) {
      place->command = *std::move(command);
      known_.insert(place->command->pid());
      return;
    }
    failed = command.status();
  }
  loop_.Post([alive = std::weak_ptr<bool>(alive_), ended, failed] {
    if (!alive.expired()) ended(failed);
  });
}

void ForeignContainer::Simple(std::vector<std::string> arguments, Done done) {
  RuntimeInvocation invocation;
  invocation.arguments = std::move(arguments);
  invocation.arguments.push_back(id_);
  Command(std::move(invocation), {}, nullptr, std::move(done));
}

// Processes of the container that were orphaned come to us as well, and nobody waits for them.
void ForeignContainer::ReapStrangers() {
  // The init or exec of a command that still runs may be among them.
  if (!running_.empty() || mounter_ != nullptr) return;
  const auto text = ReadFile(absl::StrCat("/proc/self/task/", ::getpid(), "/children"), 1u << 20);
  if (!text.ok()) return;
  std::set<pid_t> still_known;
  for (const absl::string_view word : absl::StrSplit(*text, ' ', absl::SkipEmpty())) {
    int pid = 0;
    if (!absl::SimpleAtoi(absl::StripAsciiWhitespace(word), &pid)) continue;
    if (known_.count(pid) != 0) {
      still_known.insert(pid);
    } else {
      (void)::waitpid(pid, nullptr, WNOHANG);  // one that runs is left alone
    }
  }
  known_ = std::move(still_known);
}

void ForeignContainer::Start(Done done) { Simple({"start"}, std::move(done)); }

void ForeignContainer::Exec(ExecOptions options, ExecDone done) {
  const std::string files = File(absl::StrCat("exec-", next_file_++));
  const auto fail = [this, &done](absl::Status status) {
    loop_.Post([done = std::move(done), status = std::move(status)]() mutable {
      done(std::move(status));
    });
  };
  const auto terminal = WantsTerminal(options.process_json, Document::kProcess);
  if (!terminal.ok()) return fail(terminal.status());
  const absl::Status written = ReplaceFileAt(BorrowedFd(AT_FDCWD), files + ".json",
                                             options.process_json, 0600, Durability::kUnsynced);
  if (!written.ok()) return fail(written);
  RuntimeInvocation invocation;
  invocation.arguments = {"exec",       "--process",    files + ".json",
                          "--pid-file", files + ".pid", "--detach"};
  std::shared_ptr<Console> console;
  if (*terminal) {
    auto made = Console::Make();
    if (!made.ok()) return fail(made.status());
    console = *std::move(made);
    invocation.arguments.insert(invocation.arguments.end(), {"--console-socket", console->path});
    options.stdio = {};
  }
  invocation.arguments.push_back(id_);
  Console* const raw = console.get();
  Command(std::move(invocation), std::move(options.stdio), console,
          [this, files, raw, done = std::move(done)](absl::Status status) mutable {
            ExecEnded(files, raw, std::move(status), std::move(done));
          });
}

void ForeignContainer::ExecEnded(const std::string& files, Console* console, absl::Status status,
                                 ExecDone done) {
  const auto take = [&]() -> absl::StatusOr<ExecProcess> {
    BERTH_RETURN_IF_ERROR(status);
    ExecProcess process;
    if (console != nullptr) {
      BERTH_ASSIGN_OR_RETURN(process.console, console->Receive());
    }
    BERTH_ASSIGN_OR_RETURN(process.pid, ReadPid(files + ".pid"));
    BERTH_ASSIGN_OR_RETURN(process.pidfd, OpenPidFd(process.pid));
    known_.insert(process.pid);
    return process;
  };
  auto process = take();
  (void)::unlink((files + ".json").c_str());
  (void)::unlink((files + ".pid").c_str());
  done(std::move(process));
}

absl::Status ForeignContainer::Kill(int signal, KillScope scope) {
  siginfo_t info = {};
  const bool ended =
      !init_pidfd_.valid() ||
      ::waitid(P_PIDFD, init_pidfd_.get(), &info, WEXITED | WNOHANG | WNOWAIT) != 0 ||
      info.si_pid != 0;
  if (scope == KillScope::kAll && !cgroup_.empty()) {
    const absl::Status all = cgroup_.SignalAll(signal);
    if (ended) return all;
  }
  if (ended) return absl::NotFoundError("process already finished");
  // A runtime whose init is no process of this kernel passes the signal on itself.
  RuntimeInvocation invocation;
  invocation.arguments = {"kill", id_, absl::StrCat(signal)};
  Command(std::move(invocation), {}, nullptr, [this](const absl::Status& status) {
    // It may have ended in the meantime; else the client sees that it did not.
    if (!status.ok()) warnings_.push_back(std::string(status.message()));
  });
  return absl::OkStatus();
}

void ForeignContainer::Pause(Done done) { Simple({"pause"}, std::move(done)); }
void ForeignContainer::Resume(Done done) { Simple({"resume"}, std::move(done)); }

absl::Status ForeignContainer::Update(absl::string_view resources_json) {
  const std::string file = File("update.json");
  BERTH_RETURN_IF_ERROR(
      ReplaceFileAt(BorrowedFd(AT_FDCWD), file, resources_json, 0600, Durability::kUnsynced));
  RuntimeInvocation invocation;
  invocation.arguments = {"update", "--resources", file, id_};
  invocation.log = File("update.log");
  invocation.working_directory = bundle_;
  invocation.timeout = kUpdateTimeout;
  const absl::Status status = RuntimeCommand::Run(runtime_, invocation);
  (void)::unlink(file.c_str());
  (void)::unlink(invocation.log.c_str());
  return status;
}

absl::StatusOr<StatsAny> ForeignContainer::Stats() const {
  if (cgroup_.empty()) return absl::FailedPreconditionError("no control group is known");
  if (cgroup::UsesV1(cgroup_)) {
    return StatsAny{"io.containerd.cgroups.v1.Metrics",
                    cgroup::CollectV1(cgroup_).SerializeAsString()};
  }
  return StatsAny{"io.containerd.cgroups.v2.Metrics",
                  cgroup::CollectV2(cgroup_).SerializeAsString()};
}

absl::StatusOr<std::vector<pid_t>> ForeignContainer::Pids() const {
  if (cgroup_.empty()) return std::vector<pid_t>{init_pid_};
  return cgroup_.Pids();
}

absl::Status ForeignContainer::WatchOom(absl::AnyInvocable<void()> on_oom) {
  if (cgroup_.empty()) return absl::FailedPreconditionError("no control group is known");
  if (!oom_) {
    BERTH_ASSIGN_OR_RETURN(cgroup::OomSource source, cgroup::OomSource::Open(cgroup_));
    oom_.emplace(std::move(source));
  }
  on_oom_ = std::move(on_oom);
  BERTH_ASSIGN_OR_RETURN(oom_watch_, loop_.Watch(oom_->fd(), EPOLLIN, [this](uint32_t) {
    if (oom_->TakeKills() > 0) on_oom_();
  }));
  return absl::OkStatus();
}

void ForeignContainer::Cleanup(Done done) {
  if (oom_ && oom_->TakeKills() > 0) on_oom_();
  oom_watch_.Reset();
  oom_.reset();
  if (!made_) return RemoveRest(std::move(done));
  RuntimeInvocation invocation;
  invocation.arguments = {"delete", "--force", id_};
  invocation.timeout = kDeleteTimeout;
  Command(std::move(invocation), {}, nullptr,
          [this, done = std::move(done)](absl::Status status) mutable {
            if (!status.ok() && !absl::IsNotFound(status)) {
              // What can be removed without it is; the runtime may be gone.
              warnings_.push_back(std::string(status.message()));
            }
            made_ = false;
            RemoveRest(std::move(done));
          });
}

void ForeignContainer::RemoveRest(Done done) {
  if (!cgroup_.empty()) {
    cgroup_.SignalAll(SIGKILL).IgnoreError();  // none is left, as a rule
    cgroup_.Remove().IgnoreError();            // the runtime's work, where it did it
  }
  if (!mounted_) {
    loop_.Post([done = std::move(done)]() mutable { done(absl::OkStatus()); });
    return;
  }
  auto shared_done = std::make_shared<Done>(std::move(done));
  mounter_ = std::make_unique<StatusChild>(loop_, "unmount the root filesystem");
  const absl::Status started =
      mounter_->Start([this] { return UnmountFromHost(rootfs_); },
                      [this, shared_done](absl::Status status) {
                        if (status.ok()) {
                          mounted_ = false;
                          (void)::unlink(absl::StrCat(bundle_, kRecord).c_str());
                        }
                        loop_.Post([this, alive = std::weak_ptr<bool>(alive_), shared_done,
                                    status = std::move(status)]() mutable {
                          if (alive.expired()) return;
                          mounter_.reset();
                          (*shared_done)(std::move(status));
                        });
                      });
  if (!started.ok()) loop_.Post([shared_done, started] { (*shared_done)(started); });
}

}  // namespace berth::launch
