#include "shim/init/process_setup.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/keyctl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/fsuid.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cstring>

#include "shim/init/program_finder.h"
#include "shim/init/raw_open.h"
#include "shim/rootfs/mount_api.h"
#include "shim/security/capabilities.h"

namespace berth::init {
namespace {

constexpr mode_t kDefaultUmask = 022;
constexpr uint64_t kSysAdmin = uint64_t{1} << CAP_SYS_ADMIN;

// struct sched_attr of sched_setattr(2), first version.
struct SchedulerAttributes {
  uint32_t size;
  uint32_t policy;
  uint64_t flags;
  int32_t nice;
  uint32_t priority;
  uint64_t runtime;
  uint64_t deadline;
  uint64_t period;
};

void SetAffinity(Reporter& report, const std::vector<int>& cpus) {
  if (cpus.empty()) return;
  cpu_set_t set[8];  // 8192 processors
  ::memset(set, 0, sizeof(set));
  for (int cpu : cpus) CPU_SET_S(static_cast<size_t>(cpu), sizeof(set), set);
  if (::sched_setaffinity(0, sizeof(set), set) != 0) report.Fail(errno, "set the CPU affinity");
}

// The number of the lowest descriptor that no target of PlaceDescriptors can be.
int AboveTargets(const ProcessSetup& setup) { return 3 + static_cast<int>(setup.preserved.size()); }

void Lift(Reporter& report, int& fd, int above) {
  if (fd < 0 || fd >= above) return;
  const int lifted = ::fcntl(fd, F_DUPFD_CLOEXEC, above);
  if (lifted < 0) report.Fail(errno, "move a descriptor");
  fd = lifted;
}

bool IsNullDevice(const struct stat& info) {
  return S_ISCHR(info.st_mode) && info.st_rdev == ::makedev(1, 3);
}

// Lines of a file without stdio, which allocates. A longer line is cut into several.
class LineReader {
 public:
  explicit LineReader(int fd) : fd_(fd) {}
  // Terminated by a NUL instead of its newline, valid until the next call; null at the end.
  char* Next() {
    while (true) {
      char* line = text_ + begin_;
      auto* newline = static_cast<char*>(::memchr(line, '\n', end_ - begin_));
      if (newline != nullptr) {
        *newline = '\0';
        begin_ = static_cast<size_t>(newline - text_) + 1;
        return line;
      }
      ::memmove(text_, line, end_ - begin_);
      end_ -= begin_;
      begin_ = 0;
      const ssize_t got = end_ < kMaxLine ? ::read(fd_, text_ + end_, kMaxLine - end_) : ssize_t{0};
      if (got < 0 && errno == EINTR) continue;
      if (got > 0) {
        end_ += static_cast<size_t>(got);
        continue;
      }
      if (end_ == 0) return nullptr;
      text_[end_] = '\0';
      end_ = 0;
      return text_;
    }
  }

 private:
  static constexpr size_t kMaxLine = 1023;
  const int fd_;
  size_t begin_ = 0;
  size_t end_ = 0;
  char text_[kMaxLine + 1];
};

// The home directory in a line of passwd(5), name:password:uid:gid:comment:home:shell, if it is
// of `uid` and has one; else null.
const char* HomeInEntry(char* line, uid_t uid) {
  char* at = line;
  char* fields[7] = {};
  for (char*& field : fields) field = ::strsep(&at, ":");
  if (fields[2] == nullptr || fields[5] == nullptr || fields[5][0] == '\0') return nullptr;
  char* end = nullptr;
  const bool is_number = ::strtoul(fields[2], &end, 10) == uid && *end == '\0' && end != fields[2];
  return is_number ? fields[5] : nullptr;
}

// On a kernel that has it and was started without it, its files are there all the same.
bool AppArmorRuns() {
  const int file = RawOpen("/sys/module/apparmor/parameters/enabled", O_RDONLY | O_CLOEXEC);
  char answer = 'N';
  const bool runs = file >= 0 && ::read(file, &answer, 1) == 1 && answer == 'Y';
  if (file >= 0) ::close(file);
  return runs;
}

}  // namespace

void Bind(ProcessSetup& setup, const spec::ProcessPlan& process) {
  setup.process = &process;
  // A container's own /sys could say anything.
  setup.apparmor_runs = !process.apparmor_profile.empty() && AppArmorRuns();
  setup.selinux_runs =
      !process.selinux_label.empty() && ::access("/sys/fs/selinux/enforce", F_OK) == 0;
  setup.arguments.reserve(process.args.size() + 1);
  for (const std::string& text : process.args) {
    setup.arguments.push_back(const_cast<char*>(text.c_str()));
  }
  setup.arguments.push_back(nullptr);
  setup.environment.reserve(process.env.size() + 2);
  for (const std::string& text : process.env) {
    setup.environment.push_back(const_cast<char*>(text.c_str()));
  }
  setup.environment.push_back(nullptr);
}

void ProcessBuilder::SetSession() {
  report_.Begin(Step::kSession);
  if (::setsid() < 0) report_.Fail(errno, "setsid");
  if (setup_.keyring != nullptr &&
      ::syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, setup_.keyring) < 0 && errno != ENOSYS &&
      errno != EPERM && errno != EDQUOT) {
    report_.Fail(errno, "join a new session keyring", setup_.keyring);
  }
}

void ProcessBuilder::SetInitialAffinity() { SetAffinity(report_, setup_.process->initial_cpus); }

void ProcessBuilder::SetScheduling() {
  const spec::ProcessPlan& process = *setup_.process;
  if (process.scheduler || process.io_priority || !process.final_cpus.empty()) {
    report_.Begin(Step::kScheduling);
  }
  if (process.scheduler) {
    SchedulerAttributes attributes = {};
    attributes.size = sizeof(attributes);
    attributes.policy = static_cast<uint32_t>(process.scheduler->policy);
    attributes.flags = process.scheduler->flags;
    attributes.nice = process.scheduler->nice;
    attributes.priority = process.scheduler->priority;
    attributes.runtime = process.scheduler->runtime_ns;
    attributes.deadline = process.scheduler->deadline_ns;
    attributes.period = process.scheduler->period_ns;
    if (::syscall(SYS_sched_setattr, 0, &attributes, 0) != 0) {
      report_.Fail(errno, "set the scheduler of $.process.scheduler");
    }
  }
  if (process.io_priority) {
    constexpr int kWhoProcess = 1;
    const int value = process.io_priority->io_class << 13 | process.io_priority->priority;
    if (::syscall(SYS_ioprio_set, kWhoProcess, 0, value) != 0) {
      report_.Fail(errno, "set the I/O priority of $.process.ioPriority");
    }
  }
  SetAffinity(report_, process.final_cpus);
}

void ProcessBuilder::SetLimits() {
  report_.Begin(Step::kLimits);
  for (const spec::ResourceLimit& limit : setup_.process->limits) {
    const struct rlimit wanted = {limit.soft, limit.hard};
    if (::setrlimit(static_cast<__rlimit_resource>(limit.resource), &wanted) == 0) continue;
    const int error = errno;
    struct rlimit now = {};
    ::getrlimit(static_cast<__rlimit_resource>(limit.resource), &now);
    report_.FailFormat(error,
                       "set %s to soft %llu, hard %llu: %s (%s)%s; the hard limit is %llu now",
                       limit.name.c_str(), static_cast<unsigned long long>(limit.soft),
                       static_cast<unsigned long long>(limit.hard), ::strerrordesc_np(error),
                       ::strerrorname_np(error),
                       error == EPERM ? ": raising a hard limit needs CAP_SYS_RESOURCE, which this "
                                        "host withholds"
                                      : "",
                       static_cast<unsigned long long>(now.rlim_max));
  }
}

void ProcessBuilder::SetLabels(int proc) {
  const spec::ProcessPlan& process = *setup_.process;
  if (process.apparmor_profile.empty() && process.selinux_label.empty()) return;
  report_.Begin(Step::kLabels);
  if (!process.apparmor_profile.empty() && process.apparmor_profile != "unconfined") {
    const int file = setup_.apparmor_runs
                         ? RawOpenAt(proc, "self/attr/apparmor/exec", O_WRONLY | O_CLOEXEC)
                         : -1;
    if (file < 0) {
      report_.FailFormat(
          ENOTSUP, "$.process.apparmorProfile asks for \"%s\", but this kernel has no AppArmor",
          process.apparmor_profile.c_str());
    }
    if (::dprintf(file, "exec %s", process.apparmor_profile.c_str()) < 0) {
      report_.Fail(errno, "set the AppArmor profile", process.apparmor_profile);
    }
    ::close(file);
  }
  if (!process.selinux_label.empty()) {
    const int file =
        setup_.selinux_runs ? RawOpenAt(proc, "self/attr/exec", O_WRONLY | O_CLOEXEC) : -1;
    if (file < 0) {
      report_.FailFormat(ENOTSUP,
                         "$.process.selinuxLabel asks for \"%s\", but SELinux is not active here",
                         process.selinux_label.c_str());
    }
    if (::write(file, process.selinux_label.data(), process.selinux_label.size()) < 0) {
      report_.Fail(errno, "set the SELinux label", process.selinux_label);
    }
    ::close(file);
  }
}

void ProcessBuilder::LookAtSetgroups(int proc) {
  if (!setup_.user_namespace) return;
  const int file = RawOpenAt(proc, "self/setgroups", O_RDONLY | O_CLOEXEC);
  char text[8] = "";
  setup_.setgroups_denied =
      file >= 0 && ::read(file, text, sizeof(text) - 1) > 0 && ::strncmp(text, "deny", 4) == 0;
  if (file >= 0) ::close(file);
}

void ProcessBuilder::PlaceDescriptors(int console) {
  const int above = AboveTargets(setup_);
  int control = report_.control();
  Lift(report_, control, above);
  report_.set_control(control);
  Lift(report_, setup_.seccomp, above);
  Lift(report_, console, above);
  for (int& fd : setup_.stdio) Lift(report_, fd, above);
  for (int& fd : setup_.preserved) Lift(report_, fd, above);
  int null = -1;
  for (int i = 0; i < 3; ++i) {
    int source = console >= 0 ? console : setup_.stdio[i];
    if (source < 0) {
      // /dev/null of the container, which mounts made or bound.
      if (null < 0) null = RawOpen("/dev/null", O_RDWR | O_CLOEXEC | O_NOFOLLOW);
      if (null >= 0) Lift(report_, null, above);
      source = null;
    }
    if (source < 0) continue;
    if (::dup2(source, i) < 0) report_.Fail(errno, "place standard descriptor");
    // The user must be able to open /dev/stdout and the like again.
    struct stat info;
    if (setup_.process->uid != 0 && ::fstat(i, &info) == 0 && !IsNullDevice(info) &&
        info.st_uid != setup_.process->uid) {
      if (::fchown(i, setup_.process->uid, static_cast<gid_t>(-1)) != 0) {
        // Sockets, and files of others: the process has the open descriptor all the same.
      }
    }
  }
  for (size_t i = 0; i < setup_.preserved.size(); ++i) {
    if (::dup2(setup_.preserved[i], static_cast<int>(i) + 3) < 0) {
      report_.Fail(errno, "place a preserved descriptor");
    }
  }
  if (console >= 0 && ::ioctl(0, TIOCSCTTY, 0) != 0)
    report_.Fail(errno, "set the controlling terminal");
}

void ProcessBuilder::SetHome(int root) {
  for (char* variable : setup_.environment) {
    // Set but empty counts as unset, as login does it.
    if (variable != nullptr && ::strncmp(variable, "HOME=", 5) == 0 && variable[5] != '\0') return;
  }
  ::snprintf(home_, sizeof(home_), "HOME=/");
  const int fd = rootfs::OpenInside(root, "/etc/passwd", O_RDONLY | O_NONBLOCK);
  struct stat info;
  if (fd >= 0 && ::fstat(fd, &info) == 0 && S_ISREG(info.st_mode)) {
    LineReader lines(fd);
    while (char* line = lines.Next()) {
      if (const char* home = HomeInEntry(line, setup_.process->uid)) {
        ::snprintf(home_, sizeof(home_), "HOME=%s", home);
        break;
      }
    }
  }
  if (fd >= 0) ::close(fd);
  // Bind left room for one more.
  for (char*& variable : setup_.environment) {
    if (variable != nullptr && ::strncmp(variable, "HOME=", 5) == 0) {
      variable = home_;
      return;
    }
  }
  setup_.environment.back() = home_;
  setup_.environment.push_back(nullptr);
}

void ProcessBuilder::EnterDirectory(bool may_retry) {
  const std::string& cwd = setup_.process->cwd;
  if (::chdir(cwd.c_str()) != 0) {
    if (may_retry && errno == EACCES) return;
    const int error = errno;
    report_.FailFormat(error, "chdir to cwd (\"%s\") set in config.json failed: %s (%s)",
                       cwd.c_str(),
                       error == ENOENT    ? "no such file or directory"
                       : error == EACCES  ? "permission denied"
                       : error == ENOTDIR ? "not a directory"
                                          : ::strerrordesc_np(error),
                       ::strerrorname_np(error));
  }
  // A working directory beyond the root (CVE-2024-21626's class) reads as "(unreachable)...".
  char path[PATH_MAX];
  if (::syscall(SYS_getcwd, path, sizeof(path)) < 0 || path[0] != '/') {
    report_.FailFormat(EPERM, "the working directory \"%s\" is outside of the container",
                       cwd.c_str());
  }
  entered_ = true;
}

void ProcessBuilder::SetIdentity() {
  const spec::ProcessPlan& process = *setup_.process;
  report_.Begin(Step::kUser);
  if (::prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0) report_.Fail(errno, "keep capabilities");
  if (!setup_.setgroups_denied && ::syscall(SYS_setgroups, process.additional_gids.size(),
                                            process.additional_gids.data()) != 0) {
    report_.Fail(errno, "set the additional groups");
  }
  if (setup_.setgroups_denied && !process.additional_gids.empty()) {
    report_.FailVerbatim(EPERM,
                         "$.process.user.additionalGids: this user namespace denies setgroups");
  }
  if (::syscall(SYS_setresgid, process.gid, process.gid, process.gid) != 0) {
    const int error = errno;
    report_.FailFormat(error, "setgid %u: %s (%s)%s", process.gid, ::strerrordesc_np(error),
                       ::strerrorname_np(error),
                       error == EINVAL ? ": no $.linux.gidMappings holds it" : "");
  }
  if (::syscall(SYS_setresuid, process.uid, process.uid, process.uid) != 0) {
    const int error = errno;
    report_.FailFormat(error, "setuid %u: %s (%s)%s", process.uid, ::strerrordesc_np(error),
                       ::strerrorname_np(error),
                       error == EINVAL ? ": no $.linux.uidMappings holds it" : "");
  }
  // A change of user may have made us dumpable (fs.suid_dumpable, proc(5)), and with us whoever
  // shares our memory.
  ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  ::umask(process.umask.value_or(kDefaultUmask));
}

void ProcessBuilder::BecomeUser() {
  const spec::ProcessPlan& process = *setup_.process;
  // Everything the filter will need is read before it could be forbidden.
  if (setup_.seccomp >= 0) {
    if (const int error = filter_.Read(setup_.seccomp); error != 0) {
      report_.Begin(Step::kSeccomp);
      report_.Fail(error, "read the compiled seccomp filter");
    }
    ::close(setup_.seccomp);
  }
  report_.Begin(Step::kWorkingDirectory);
  EnterDirectory(/*may_retry=*/true);
  report_.Begin(Step::kCapabilities);
  const spec::CapabilitySets& wanted = process.capabilities;
  sets_ = security::Attainable(wanted, security::OwnPermitted(),
                               security::OwnBounding(wanted.bounding | wanted.inheritable));
  if (const int error = security::DropBounding(sets_.bounding); error != 0) {
    report_.Fail(error, "drop the bounding set");
  }
  SetIdentity();
  report_.Begin(Step::kCapabilities);
  // Without no_new_privs a filter takes CAP_SYS_ADMIN to load.
  kept_ = setup_.seccomp >= 0 && !process.no_new_privileges ? kSysAdmin : 0;
  if (const int error = security::SetCapabilities(sets_, kept_); error != 0) {
    report_.Fail(error, "set the capabilities");
  }
  if (const int error = security::SetAmbient(sets_.ambient); error != 0) {
    report_.Fail(error, "set the ambient capabilities");
  }
  if (!entered_) {
    report_.Begin(Step::kWorkingDirectory);
    EnterDirectory(/*may_retry=*/false);
  }
  if (process.no_new_privileges && ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
    report_.Fail(errno, "set no_new_privs");
  }
  report_.Begin(Step::kFindProgram);
  FindProgram(report_, setup_.arguments[0], setup_.environment.data(), program_);
}

void ProcessBuilder::DropKept() {
  if (kept_ == 0) return;
  if (const int error = security::SetCapabilities(sets_, 0); error != 0) {
    report_.Fail(error, "set the capabilities");
  }
}

void ProcessBuilder::Execute() {
  report_.Begin(Step::kExec);
  report_.Send(ReportKind::kExecuting);
  if (setup_.seccomp >= 0) {
    report_.Begin(Step::kSeccomp);
    int listener = -1;
    if (const int error = filter_.Load(&listener); error != 0) {
      report_.Fail(error, "load the seccomp filter",
                   error == EINVAL ? "the kernel lacks one of its flags or actions" : "");
    }
    if (listener >= 0) report_.Send(ReportKind::kSeccompListener, &listener, 1);
  }
  DropKept();
  ::execve(program_, setup_.arguments.data(), setup_.environment.data());
  const int error = errno;
  report_.Begin(Step::kExec);
  ExplainExecFailure(report_, program_, error);
}

}  // namespace berth::init
