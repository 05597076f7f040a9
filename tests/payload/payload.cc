// The program that tests run inside containers: each subcommand prints one fact, or does one thing.
//
// Static, so that an otherwise empty root filesystem holds it. Assertions stay on the host's side.
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <ifaddrs.h>
#include <limits.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

namespace {

int Fail(const char* what) {
  ::fprintf(stderr, "%s: %s\n", what, ::strerror(errno));
  return 1;
}

int Cat(const char* path) {
  const int fd = ::open(path, O_RDONLY);
  if (fd < 0) return Fail(path);
  char buffer[65536];
  ssize_t size;
  while ((size = ::read(fd, buffer, sizeof(buffer))) > 0) {
    if (::write(1, buffer, static_cast<size_t>(size)) < 0) return Fail("write");
  }
  ::close(fd);
  if (size < 0) return Fail(path);
  return 0;
}

int List(const char* path) {
  DIR* directory = ::opendir(path);
  if (directory == nullptr) return Fail(path);
  while (const dirent* entry = ::readdir(directory)) {
    if (entry->d_name[0] != '.') ::printf("%s\n", entry->d_name);
  }
  ::closedir(directory);
  return 0;
}

int Ids() {
  uid_t real, effective, saved;
  ::getresuid(&real, &effective, &saved);
  gid_t real_group, effective_group, saved_group;
  ::getresgid(&real_group, &effective_group, &saved_group);
  gid_t groups[64];
  const int count = ::getgroups(64, groups);
  const mode_t mask = ::umask(0);
  ::printf("uid=%u/%u/%u gid=%u/%u/%u umask=%04o groups=", real, effective, saved, real_group,
           effective_group, saved_group, mask);
  for (int i = 0; i < count; ++i) ::printf("%s%u", i > 0 ? "," : "", groups[i]);
  ::printf("\n");
  return 0;
}

int Status(const char* key) {
  FILE* file = ::fopen("/proc/self/status", "re");
  if (file == nullptr) return Fail("/proc/self/status");
  char line[512];
  const size_t size = ::strlen(key);
  while (::fgets(line, sizeof(line), file) != nullptr) {
    if (::strncmp(line, key, size) == 0) ::fputs(line, stdout);
  }
  ::fclose(file);
  return 0;
}

int Stat(const char* path) {
  struct stat info;
  if (::lstat(path, &info) != 0) return Fail(path);
  const char* type = S_ISDIR(info.st_mode)    ? "directory"
                     : S_ISREG(info.st_mode)  ? "file"
                     : S_ISLNK(info.st_mode)  ? "link"
                     : S_ISCHR(info.st_mode)  ? "char"
                     : S_ISBLK(info.st_mode)  ? "block"
                     : S_ISFIFO(info.st_mode) ? "fifo"
                                              : "socket";
  ::printf("%s mode=%04o uid=%u gid=%u size=%lld dev=%u:%u\n", type, info.st_mode & 07777,
           info.st_uid, info.st_gid, static_cast<long long>(info.st_size),
           static_cast<unsigned>(info.st_rdev >> 8), static_cast<unsigned>(info.st_rdev & 0xff));
  return 0;
}

int Descriptors() {
  DIR* directory = ::opendir("/proc/self/fd");
  if (directory == nullptr) return Fail("/proc/self/fd");
  while (const dirent* entry = ::readdir(directory)) {
    if (entry->d_name[0] == '.' || ::atoi(entry->d_name) == ::dirfd(directory)) continue;
    char path[300];
    char target[PATH_MAX] = "";
    ::snprintf(path, sizeof(path), "/proc/self/fd/%s", entry->d_name);
    if (::readlink(path, target, sizeof(target) - 1) < 0) continue;
    ::printf("%s %s\n", entry->d_name, target);
  }
  ::closedir(directory);
  return 0;
}

int Interfaces() {
  struct ifaddrs* list;
  if (::getifaddrs(&list) != 0) return Fail("getifaddrs");
  for (const struct ifaddrs* at = list; at != nullptr; at = at->ifa_next) {
    if (at->ifa_addr == nullptr || at->ifa_addr->sa_family != AF_PACKET) continue;
    ::printf("%s %s\n", at->ifa_name, (at->ifa_flags & IFF_UP) != 0 ? "up" : "down");
  }
  ::freeifaddrs(list);
  return 0;
}

// "name address/prefix-mask" of IPv4.
int Addresses() {
  struct ifaddrs* list;
  if (::getifaddrs(&list) != 0) return Fail("getifaddrs");
  for (const struct ifaddrs* at = list; at != nullptr; at = at->ifa_next) {
    if (at->ifa_addr == nullptr || at->ifa_addr->sa_family != AF_INET) continue;
    char address[INET_ADDRSTRLEN] = "";
    char mask[INET_ADDRSTRLEN] = "";
    ::inet_ntop(AF_INET, &reinterpret_cast<struct sockaddr_in*>(at->ifa_addr)->sin_addr, address,
                sizeof(address));
    ::inet_ntop(AF_INET, &reinterpret_cast<struct sockaddr_in*>(at->ifa_netmask)->sin_addr, mask,
                sizeof(mask));
    ::printf("%s %s/%s\n", at->ifa_name, address, mask);
  }
  ::freeifaddrs(list);
  return 0;
}

int Terminal() {
  struct winsize size = {};
  char name[64] = "";
  if (::ttyname_r(0, name, sizeof(name)) != 0) return Fail("ttyname");
  if (::ioctl(0, TIOCGWINSZ, &size) != 0) return Fail("TIOCGWINSZ");
  const int controlling = ::open("/dev/tty", O_RDWR);
  ::printf("tty=%s rows=%u columns=%u controlling=%s\n", name, size.ws_row, size.ws_col,
           controlling >= 0 ? "yes" : "no");
  return 0;
}

// Touches `mebibytes` of memory and keeps it.
int Eat(long mebibytes) {
  for (long i = 0; i < mebibytes; ++i) {
    void* block =
        ::mmap(nullptr, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (block == MAP_FAILED) return Fail("mmap");
    ::memset(block, 1, 1 << 20);
  }
  ::printf("ate %ld\n", mebibytes);
  return 0;
}

// Sleeps until SIGTERM, which ends it with status 43.
int Serve() {
  struct sigaction action = {};
  action.sa_handler = [](int) { ::_exit(43); };
  ::sigaction(SIGTERM, &action, nullptr);
  ::printf("ready\n");
  ::fflush(stdout);
  while (true) ::pause();
}

// As pid 1: starts `count` sleeping children, then sleeps.
int Brood(int count) {
  for (int i = 0; i < count; ++i) {
    if (::fork() == 0) {
      while (true) ::pause();
    }
  }
  return Serve();
}

int TrySyscall(const char* name) {
  long result = -1;
  if (::strcmp(name, "mkdir") == 0) {
    result = ::mkdir("/tmp-from-payload", 0755);
  } else if (::strcmp(name, "mount") == 0) {
    result = ::mount("none", "/", nullptr, MS_REMOUNT | MS_BIND, nullptr);
  } else if (::strcmp(name, "unknown") == 0) {
    result = ::syscall(1000);
  } else if (::strcmp(name, "mknod-null") == 0) {
    result = ::mknod("/n", S_IFCHR | 0666, 0x103);
  } else if (::strcmp(name, "open-mem") == 0) {
    if (::mknod("/m", S_IFCHR | 0666, 0x101) != 0 && errno != EEXIST) return Fail("mknod");
    result = ::open("/m", O_RDONLY);
  } else if (::strcmp(name, "unshare-user") == 0) {
    result = ::unshare(CLONE_NEWUSER);
  }
  ::printf("%s: %s\n", name, result >= 0 ? "ok" : ::strerrorname_np(errno));
  return 0;
}

// Calls that a test's filter speaks of, with numbers as arguments; descriptors that are not open
// say EBADF where nothing else was decided.
int Call(const char* name, long first, long second) {
  struct Known {
    const char* name;
    long number;
  };
  constexpr Known kCalls[] = {
      {"dup", SYS_dup},        {"fsync", SYS_fsync}, {"fdatasync", SYS_fdatasync},
      {"fchdir", SYS_fchdir},  {"flock", SYS_flock}, {"ftruncate", SYS_ftruncate},
      {"fstatfs", SYS_fstatfs}};
  long result = -1;
  errno = ENOSYS;
  for (const Known& known : kCalls) {
    if (::strcmp(name, known.name) == 0) result = ::syscall(known.number, first, second);
  }
#if defined(__x86_64__)
  if (::strcmp(name, "getppid32") == 0) {
    // The 32-bit entry has numbers of its own.
    long number = 64;
    asm volatile("int $0x80" : "+a"(number) : : "memory", "r8", "r9", "r10", "r11");
    result = static_cast<int>(number);
    if (result < 0) errno = static_cast<int>(-result);
  }
#endif
  ::printf("%s(%ld): %s\n", name, first, result >= 0 ? "ok" : ::strerrorname_np(errno));
  return 0;
}

// Says so when a system call is trapped, and which.
int Trap(const char* name) {
  struct sigaction action = {};
  action.sa_flags = SA_SIGINFO;
  action.sa_sigaction = [](int, siginfo_t* info, void*) {
    char line[64];
    const int size = ::snprintf(line, sizeof(line), "trapped %s\n",
                                info->si_syscall == SYS_mkdir ? "mkdir" : "another");
    (void)!::write(1, line, static_cast<size_t>(size));
  };
  ::sigaction(SIGSYS, &action, nullptr);
  return TrySyscall(name);
}

int SchedulerAttributes() {
  struct {
    unsigned size, policy;
    unsigned long long flags;
    int nice;
    unsigned priority;
    unsigned long long runtime, deadline, period;
  } now = {};
  if (::syscall(SYS_sched_getattr, 0, &now, sizeof(now), 0) != 0) return Fail("sched_getattr");
  ::printf("policy=%u flags=%llu nice=%d priority=%u runtime=%llu deadline=%llu period=%llu\n",
           now.policy, now.flags, now.nice, now.priority, now.runtime, now.deadline, now.period);
  return 0;
}

int SetName(const char* name) {
  const int result = ::sethostname(name, ::strlen(name));
  ::printf("sethostname: %s\n", result == 0 ? "ok" : ::strerrorname_np(errno));
  return 0;
}

// Looks for processes that run a file which is not in this root, and tries to overwrite that file
// through /proc, as long as it is asked to. Each program that it gets hold of is told once.
int Hunt() {
  struct sigaction action = {};
  action.sa_handler = [](int) { ::_exit(43); };
  ::sigaction(SIGTERM, &action, nullptr);
  struct stat own;
  if (::stat("/proc/self/exe", &own) != 0) return Fail("/proc/self/exe");
  ::printf("ready\n");
  ::fflush(stdout);
  int held[64];
  int count = 0;
  while (true) {
    DIR* processes = ::opendir("/proc");
    while (const dirent* entry = processes != nullptr ? ::readdir(processes) : nullptr) {
      if (::atoi(entry->d_name) <= 1 || count == 64) continue;
      char path[300];
      ::snprintf(path, sizeof(path), "/proc/%s/exe", entry->d_name);
      struct stat info;
      const int file = ::open(path, O_PATH | O_CLOEXEC);
      if (file < 0 || ::fstat(file, &info) != 0 ||
          (info.st_dev == own.st_dev && info.st_ino == own.st_ino)) {
        if (file >= 0) ::close(file);
        continue;
      }
      held[count++] = file;
      ::printf("held\n");
      ::fflush(stdout);
    }
    if (processes != nullptr) ::closedir(processes);
    // A file that runs refuses writers; it does so no more when its process has ended.
    for (int i = 0; i < count; ++i) {
      char path[64];
      ::snprintf(path, sizeof(path), "/proc/self/fd/%d", held[i]);
      const int file = ::open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
      if (file < 0) continue;
      (void)!::write(file, "#!/owned\n", 9);
      ::close(file);
      ::printf("overwritten\n");
      ::fflush(stdout);
    }
  }
}

int Limit(const char* name) {
  const int which = ::strcmp(name, "nofile") == 0 ? RLIMIT_NOFILE
                    : ::strcmp(name, "core") == 0 ? RLIMIT_CORE
                                                  : RLIMIT_NPROC;
  struct rlimit limit;
  ::getrlimit(static_cast<__rlimit_resource>(which), &limit);
  ::printf("soft=%llu hard=%llu\n", static_cast<unsigned long long>(limit.rlim_cur),
           static_cast<unsigned long long>(limit.rlim_max));
  return 0;
}

int Write(const char* path, const char* text) {
  const int fd = ::open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
  if (fd < 0 || ::write(fd, text, ::strlen(text)) < 0) return Fail(path);
  ::close(fd);
  return 0;
}

int Link(const char* path) {
  char target[PATH_MAX] = "";
  if (::readlink(path, target, sizeof(target) - 1) < 0) return Fail(path);
  ::printf("%s\n", target);
  return 0;
}

volatile sig_atomic_t code_after_term = 0;

// Ends by SIGTERM, with that code.
int UntilTerm(const char* code) {
  code_after_term = ::atoi(code);
  ::signal(SIGTERM, [](int) { ::_exit(code_after_term); });
  while (true) ::pause();
}

int Time() {
  struct timespec now;
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  ::printf("boottime=%lld\n", static_cast<long long>(now.tv_sec));
  return 0;
}

int Scheduling() {
  constexpr int kWhoProcess = 1;
  ::printf("policy=%d nice=%d ioprio=%ld personality=%x cpus=%d\n", ::sched_getscheduler(0),
           ::getpriority(PRIO_PROCESS, 0), ::syscall(SYS_ioprio_get, kWhoProcess, 0),
           ::personality(0xffffffff), [] {
             cpu_set_t set;
             ::sched_getaffinity(0, sizeof(set), &set);
             return CPU_COUNT(&set);
           }());
  return 0;
}

}  // namespace

// Subcommands may be joined by ";" so that one container tells several facts.
int RunOne(int argc, char** argv) {
  const char* command = argc > 0 ? argv[0] : "true";
  const char* first = argc > 1 ? argv[1] : "";
  const char* second = argc > 2 ? argv[2] : "";
  auto is = [command](const char* name) { return ::strcmp(command, name) == 0; };
  if (is("true")) return 0;
  if (is("exit")) return ::atoi(first);
  if (is("until-term")) return UntilTerm(first);
  if (is("echo")) {
    for (int i = 1; i < argc; ++i) ::printf("%s%s", i > 1 ? " " : "", argv[i]);
    ::printf("\n");
    return 0;
  }
  if (is("error")) {
    ::fprintf(stderr, "%s\n", first);
    return 0;
  }
  if (is("cat")) return Cat(first);
  if (is("copy")) return Cat("/proc/self/fd/0");
  if (is("ls")) return List(first);
  if (is("stat")) return Stat(first);
  if (is("readlink")) return Link(first);
  if (is("write")) return Write(first, second);
  if (is("ids")) return Ids();
  if (is("status")) return Status(first);
  if (is("fds")) return Descriptors();
  if (is("net")) return Interfaces();
  if (is("addresses")) return Addresses();
  if (is("tty")) return Terminal();
  if (is("eat")) return Eat(::atol(first));
  if (is("serve")) return Serve();
  if (is("brood")) return Brood(::atoi(first));
  if (is("try")) return TrySyscall(first);
  if (is("call")) return Call(first, ::atol(second), argc > 3 ? ::atol(argv[3]) : 0);
  if (is("trap")) return Trap(first);
  if (is("sched-attributes")) return SchedulerAttributes();
  if (is("sethostname")) return SetName(first);
  if (is("hunt")) return Hunt();
  if (is("limit")) return Limit(first);
  if (is("time")) return Time();
  if (is("scheduling")) return Scheduling();
  if (is("sleep")) return static_cast<int>(::sleep(static_cast<unsigned>(::atoi(first))));
  if (is("kill-self")) return ::raise(::atoi(first));
  if (is("cwd")) {
    char path[PATH_MAX];
    ::printf("%s\n", ::getcwd(path, sizeof(path)) != nullptr ? path : ::strerror(errno));
    return 0;
  }
  if (is("env")) {
    for (char** variable = environ; *variable != nullptr; ++variable) ::printf("%s\n", *variable);
    return 0;
  }
  if (is("hostname")) {
    char name[256] = "";
    ::gethostname(name, sizeof(name));
    char domain[256] = "";
    if (::getdomainname(domain, sizeof(domain)) != 0) return Fail("getdomainname");
    ::printf("%s %s\n", name, domain);
    return 0;
  }
  if (is("pid")) {
    ::printf("pid=%d ppid=%d sid=%d\n", ::getpid(), ::getppid(), ::getsid(0));
    return 0;
  }
  ::fprintf(stderr, "payload: unknown subcommand \"%s\"\n", command);
  return 64;
}

int main(int argc, char** argv) {
  int result = 0;
  int at = 1;
  while (at < argc) {
    int end = at;
    while (end < argc && ::strcmp(argv[end], ";") != 0) ++end;
    result = RunOne(end - at, argv + at);
    ::fflush(stdout);
    at = end + 1;
  }
  return result;
}
