// The least that the kernel asks for a container like the benchmark's: bare system calls, no
// daemon, no API, no seccomp, no durability.
//
//   floor --root DIR --busybox FILE [--lives N] [--exec]
//
// A life: overlay mount, one control group in each hierarchy, a child in new mount, pid, network,
// ipc and uts namespaces, proc, dev (with its nodes), devpts, shm, mqueue and sys mounts,
// pivot_root, execve of `true`, wait, everything removed. With --exec: clone3 into the namespaces
// of a container that runs, and execve. Prints one line per life: microseconds.
//
// What cannot be done ends the program: a floor that skips something would flatter everybody.
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <fstream>
#include <string>
#include <vector>

namespace {

constexpr uint64_t kNamespaces =
    CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS;

struct Device {
  const char* path;
  unsigned major, minor;
};
constexpr Device kDevices[] = {{"dev/null", 1, 3}, {"dev/zero", 1, 5},   {"dev/full", 1, 7},
                               {"dev/tty", 5, 0},  {"dev/random", 1, 8}, {"dev/urandom", 1, 9}};

[[noreturn]] void Fail(const std::string& what) {
  fprintf(stderr, "floor: %s: %s\n", what.c_str(), strerror(errno));
  _exit(1);
}

void Must(bool good, const std::string& what) {
  if (!good) Fail(what);
}

int OpenHere(const std::string& path, int flags) {
  return ::open(path.c_str(), flags | O_CLOEXEC);  // tidy: allow(open) bare calls are the point
}

int64_t NowNanos() {
  timespec now;
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1'000'000'000LL + now.tv_nsec;
}

struct Hierarchy {
  std::string mount_point;
  bool unified = false;
};

// The control group hierarchies, once each.
std::vector<Hierarchy> Hierarchies() {
  std::vector<Hierarchy> found;
  std::ifstream mounts("/proc/self/mounts");
  std::string source, target, type, rest;
  while (mounts >> source >> target >> type && std::getline(mounts, rest)) {
    if (type == "cgroup" || type == "cgroup2") found.push_back({target, type == "cgroup2"});
  }
  return found;
}

// `group`: a version 2 group to be born in, or -1.
pid_t Clone(uint64_t flags, int group) {
  clone_args arguments = {};
  arguments.flags = flags | (group >= 0 ? CLONE_INTO_CGROUP : 0);
  if (group >= 0) arguments.cgroup = static_cast<uint64_t>(group);
  arguments.exit_signal = SIGCHLD;
  return static_cast<pid_t>(::syscall(SYS_clone3, &arguments, sizeof arguments));
}

void WaitFor(pid_t pid) {
  int status = 0;
  Must(::waitpid(pid, &status, 0) == pid, "waitpid");
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    errno = ECHILD;
    Fail("the child failed");
  }
}

void MountAt(const char* source, const char* target, const char* type, unsigned long flags,
             const char* data) {
  Must(::mkdir(target, 0755) == 0 || errno == EEXIST, std::string("mkdir ") + target);
  Must(::mount(source, target, type, flags, data) == 0, std::string("mount ") + target);
}

// In the child, in its root: what a default configuration mounts.
void MountInside() {
  constexpr unsigned long kQuiet = MS_NOSUID | MS_NOEXEC | MS_NODEV;
  MountAt("proc", "proc", "proc", kQuiet, nullptr);
  MountAt("tmpfs", "dev", "tmpfs", MS_NOSUID | MS_STRICTATIME, "mode=755,size=65536k");
  MountAt("devpts", "dev/pts", "devpts", MS_NOSUID | MS_NOEXEC,
          "newinstance,ptmxmode=0666,mode=0620,gid=5");
  MountAt("shm", "dev/shm", "tmpfs", kQuiet, "mode=1777,size=65536k");
  MountAt("mqueue", "dev/mqueue", "mqueue", kQuiet, nullptr);
  MountAt("sysfs", "sys", "sysfs", kQuiet | MS_RDONLY, nullptr);
  MountAt("tmpfs", "run", "tmpfs", MS_NOSUID | MS_STRICTATIME, "mode=755,size=65536k");
  for (const Device& device : kDevices) {
    Must(::mknod(device.path, S_IFCHR | 0666, makedev(device.major, device.minor)) == 0,
         device.path);
  }
}

void Write(const std::string& path, const std::string& text) {
  const int fd = OpenHere(path, O_WRONLY);
  Must(fd >= 0, "open " + path);
  Must(::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()), path);
  ::close(fd);
}

[[noreturn]] void ChildMain(const std::string& root, const std::string& overlay,
                            const std::vector<std::string>& groups, const char* program,
                            const char* argument) {
  // Whoever moves itself waits for no other.
  for (const std::string& group : groups) Write(group + "/tasks", "0");
  Must(::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0, "make / private");
  Must(::mount("overlay", root.c_str(), "overlay", 0, overlay.c_str()) == 0, "mount the overlay");
  Must(::chdir(root.c_str()) == 0, "enter the root");
  MountInside();
  Must(::syscall(SYS_pivot_root, ".", ".") == 0, "pivot_root");
  Must(::umount2(".", MNT_DETACH) == 0, "detach the old root");
  Must(::chdir("/") == 0, "chdir /");
  ::execl("/bin/busybox", program, argument, nullptr);
  Fail("execve");
}

class Floor {
 public:
  Floor(std::string directory, const std::string& busybox)
      : directory_(std::move(directory)), hierarchies_(Hierarchies()) {
    for (const char* name : {"", "/lower", "/lower/bin", "/lower/proc", "/lower/dev", "/lower/sys",
                             "/lower/run", "/upper", "/work", "/root"}) {
      Must(::mkdir((directory_ + name).c_str(), 0755) == 0 || errno == EEXIST, "mkdir");
    }
    std::ifstream from(busybox, std::ios::binary);
    std::ofstream to(directory_ + "/lower/bin/busybox", std::ios::binary);
    to << from.rdbuf();
    to.close();
    Must(from && to, "copy busybox");
    Must(::chmod((directory_ + "/lower/bin/busybox").c_str(), 0755) == 0, "chmod");
  }

  // Starts `program argument` as the first process of a container.
  pid_t Start(const char* program, const char* argument) {
    const std::string overlay = "lowerdir=" + directory_ + "/lower,upperdir=" + directory_ +
                                "/upper,workdir=" + directory_ + "/work";
    int birthplace = -1;
    std::vector<std::string> others;
    for (const Hierarchy& hierarchy : hierarchies_) {
      const std::string group = Group(hierarchy);
      Must(::mkdir(group.c_str(), 0755) == 0, "mkdir " + group);
      if (hierarchy.unified) {
        birthplace = OpenHere(group, O_PATH | O_DIRECTORY);
        Must(birthplace >= 0, "open " + group);
      } else {
        CopyCpuset(hierarchy);
        others.push_back(group);
      }
    }
    const pid_t child = Clone(kNamespaces, birthplace);
    Must(child >= 0, "clone3");
    if (child == 0) ChildMain(directory_ + "/root", overlay, others, program, argument);
    if (birthplace >= 0) ::close(birthplace);
    return child;
  }

  void RemoveGroups() {
    for (const Hierarchy& hierarchy : hierarchies_) {
      Must(::rmdir(Group(hierarchy).c_str()) == 0, "rmdir " + Group(hierarchy));
    }
  }

 private:
  static std::string Group(const Hierarchy& hierarchy) {
    return hierarchy.mount_point + "/berth-floor-" + std::to_string(::getpid());
  }
  // A new group of the cpuset controller takes no process before it has both.
  static void CopyCpuset(const Hierarchy& hierarchy) {
    for (const char* name : {"/cpuset.cpus", "/cpuset.mems"}) {
      const int from = OpenHere(hierarchy.mount_point + name, O_RDONLY);
      if (from < 0) return;
      char text[256];
      const ssize_t size = ::read(from, text, sizeof text);
      ::close(from);
      Must(size > 0, "read cpuset");
      Write(Group(hierarchy) + name, std::string(text, static_cast<size_t>(size)));
    }
  }

  const std::string directory_;
  const std::vector<Hierarchy> hierarchies_;
};

int64_t LifeNanos(Floor& floor) {
  const int64_t begin = NowNanos();
  WaitFor(floor.Start("true", nullptr));
  floor.RemoveGroups();
  return NowNanos() - begin;
}

// clone3, setns into all namespaces of `container`, a second clone for the pid namespace, execve.
int64_t ExecNanos(int container, int root) {
  const int64_t begin = NowNanos();
  // Children of this process are born in the container's pid namespace from here on.
  Must(::setns(container, CLONE_NEWPID) == 0, "setns pid");
  const pid_t child = Clone(0, -1);
  Must(child >= 0, "clone3");
  if (child == 0) {
    Must(::setns(container, CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS) == 0,
         "setns");
    Must(::fchdir(root) == 0 && ::chroot(".") == 0, "enter the root");
    ::execl("/bin/busybox", "true", nullptr);
    Fail("execve");
  }
  WaitFor(child);
  return NowNanos() - begin;
}

}  // namespace

int main(int argc, char** argv) {
  std::string root, busybox = "/bin/busybox";
  int lives = 1;
  bool exec = false;
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    const bool has_value = i + 1 < argc;
    if (name == "--exec") {
      exec = true;
    } else if (name == "--root" && has_value) {
      root = argv[++i];
    } else if (name == "--busybox" && has_value) {
      busybox = argv[++i];
    } else if (name == "--lives" && has_value) {
      lives = ::atoi(argv[++i]);
    } else {
      root.clear();
      break;
    }
  }
  if (root.empty() || lives < 1) {
    fprintf(stderr, "usage: floor --root DIR [--busybox FILE] [--lives N] [--exec]\n");
    return 2;
  }
  Floor floor(root, busybox);
  if (!exec) {
    for (int life = 0; life < lives; ++life) printf("%lld\n", LifeNanos(floor) / 1000LL);
    return 0;
  }
  const pid_t sleeper = floor.Start("sleep", "1000");
  const int container = static_cast<int>(::syscall(SYS_pidfd_open, sleeper, 0));
  Must(container >= 0, "pidfd_open");
  // Until it has its root: the link of its program says so.
  const std::string program = "/proc/" + std::to_string(sleeper) + "/exe";
  const std::string root_link = "/proc/" + std::to_string(sleeper) + "/root";
  char target[64];
  for (int tries = 0;; ++tries) {
    const ssize_t size = ::readlink(program.c_str(), target, sizeof target - 1);
    if (size > 0 && std::string(target, static_cast<size_t>(size)) == "/bin/busybox") break;
    Must(tries < 2000, "wait for the container");
    ::usleep(1000);
  }
  const int root_fd = OpenHere(root_link, O_PATH | O_DIRECTORY);
  Must(root_fd >= 0, "open the container's root");
  std::vector<int64_t> times;
  for (int life = 0; life < lives; ++life) times.push_back(ExecNanos(container, root_fd));
  ::kill(sleeper, SIGKILL);
  ::waitpid(sleeper, nullptr, 0);
  floor.RemoveGroups();
  for (const int64_t time : times) printf("%lld\n", time / 1000LL);
  return 0;
}
