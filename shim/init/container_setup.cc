#include "shim/init/container_setup.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/personality.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>

#include "shim/init/raw_open.h"
#include "shim/spec/names.h"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif

namespace berth::init {
namespace {

void EnterTimeNamespace(Reporter& report, const spec::LaunchPlan& plan) {
  if (!plan.time_offsets.empty()) {
    const int file = RawOpen("/proc/self/timens_offsets", O_WRONLY | O_CLOEXEC);
    if (file < 0) report.Fail(errno, "open", "/proc/self/timens_offsets");
    for (const spec::TimeOffset& offset : plan.time_offsets) {
      if (::dprintf(file, "%s %lld %u", offset.clock.c_str(),
                    static_cast<long long>(offset.seconds), offset.nanoseconds) < 0) {
        report.Fail(errno, "set the time offset of", offset.clock);
      }
    }
    ::close(file);
  }
  // unshare prepared it for children; a single thread may enter it itself.
  const int ns = RawOpen("/proc/self/ns/time_for_children", O_RDONLY | O_CLOEXEC);
  if (ns < 0 || ::setns(ns, CLONE_NEWTIME) != 0) report.Fail(errno, "enter the time namespace");
  ::close(ns);
}

}  // namespace

void JoinNamespaces(Reporter& report, const std::vector<JoinedNamespace>& joined) {
  for (const JoinedNamespace& ns : joined) {
    if (::setns(ns.fd, ns.clone_flag) != 0) {
      report.Fail(errno, "join namespace", spec::NamespaceName(ns.clone_flag));
    }
    ::close(ns.fd);
  }
}

void MakeNamespaces(Reporter& report, const spec::LaunchPlan& plan, int flags) {
  if (flags != 0 && ::unshare(flags) != 0) {
    const int error = errno;
    report.FailFormat(error, "make namespaces: %s (%s)%s", ::strerrordesc_np(error),
                      ::strerrorname_np(error),
                      error == ENOSPC   ? ": a limit in /proc/sys/user/max_*_namespaces is reached"
                      : error == EINVAL ? ": this kernel lacks one of the kinds in "
                                          "$.linux.namespaces"
                                        : "");
  }
  if ((flags & CLONE_NEWTIME) != 0) EnterTimeNamespace(report, plan);
}

void RaiseLoopback(Reporter& report) {
  report.Begin(Step::kNetwork);
  const int socket = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (socket < 0) report.Fail(errno, "open a socket");
  struct ifreq request = {};
  ::memcpy(request.ifr_name, "lo", sizeof("lo"));
  request.ifr_flags = IFF_UP;
  if (::ioctl(socket, SIOCSIFFLAGS, &request) != 0) report.Fail(errno, "bring up", "lo");
  ::close(socket);
}

void WriteSysctls(Reporter& report, const spec::LaunchPlan& plan, int proc) {
  if (plan.sysctls.empty()) return;
  report.Begin(Step::kSysctls);
  for (const auto& [name, value] : plan.sysctls) {
    // Dots separate; a name written with slashes may hold dots (an interface "eth0.1").
    char path[512];
    const bool dotted = name.find('/') == std::string::npos || name.find('.') < name.find('/');
    if (::snprintf(path, sizeof(path), "sys/%s", name.c_str()) >= static_cast<int>(sizeof(path))) {
      report.Fail(ENAMETOOLONG, "set sysctl", name);
    }
    for (char* c = path + 4; dotted && *c != '\0'; ++c) {
      if (*c == '.') {
        *c = '/';
      } else if (*c == '/') {
        *c = '.';
      }
    }
    const int file = RawOpenAt(proc, path, O_WRONLY | O_CLOEXEC);
    if (file < 0 || ::write(file, value.data(), value.size()) < 0) {
      const int error = errno;
      report.FailFormat(error, "set sysctl \"%s\" to \"%s\": %s (%s)", name.c_str(), value.c_str(),
                        ::strerrordesc_np(error), ::strerrorname_np(error));
    }
    ::close(file);
  }
}

void SetNames(Reporter& report, const spec::LaunchPlan& plan) {
  if (!plan.hostname.empty() && ::sethostname(plan.hostname.data(), plan.hostname.size()) != 0) {
    report.Fail(errno, "set the hostname", plan.hostname);
  }
  if (!plan.domainname.empty() &&
      ::setdomainname(plan.domainname.data(), plan.domainname.size()) != 0) {
    report.Fail(errno, "set the domain name", plan.domainname);
  }
}

void SetPersonality(Reporter& report, const spec::LaunchPlan& plan) {
  if (!plan.personality) return;
  if (::personality(*plan.personality) < 0) report.Fail(errno, "set $.linux.personality");
}

void SetMemoryPolicy(Reporter& report, const spec::LaunchPlan& plan) {
  if (!plan.memory_policy) return;
  constexpr size_t kBits = 8 * sizeof(unsigned long);
  unsigned long mask[1024 / kBits] = {};
  for (int node : plan.memory_policy->nodes) {
    mask[static_cast<size_t>(node) / kBits] |= 1UL << (static_cast<size_t>(node) % kBits);
  }
  const bool nodes = !plan.memory_policy->nodes.empty();
  if (::syscall(SYS_set_mempolicy, plan.memory_policy->mode, nodes ? mask : nullptr,
                nodes ? 1024 : 0) != 0) {
    report.Fail(errno, "set $.linux.memoryPolicy");
  }
}

}  // namespace berth::init
