#include "server/worker/syscall_filter.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>
#include <vector>

#include "base/status/errno_status.h"

namespace berth::worker {
namespace {

#if defined(__x86_64__)
constexpr uint32_t kArchitecture = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr uint32_t kArchitecture = AUDIT_ARCH_AARCH64;
#endif

constexpr uint32_t kAllow = SECCOMP_RET_ALLOW;
constexpr uint32_t kRefuse = SECCOMP_RET_ERRNO | EPERM;
// glibc starts threads by clone where it is told that there is no clone3, whose flags lie in memory
// that a filter cannot see.
constexpr uint32_t kMissing = SECCOMP_RET_ERRNO | ENOSYS;

constexpr int kTaken[] = {
    // programs and processes
    SYS_execve,
    SYS_execveat,
    SYS_ptrace,
    SYS_process_vm_readv,
    SYS_process_vm_writev,
    SYS_kcmp,
    438 /* pidfd_getfd */,
    // mounts and namespaces
    SYS_mount,
    SYS_umount2,
    SYS_pivot_root,
    SYS_chroot,
    SYS_unshare,
    SYS_setns,
    428 /* open_tree */,
    429 /* move_mount */,
    430 /* fsopen */,
    431 /* fsconfig */,
    432 /* fsmount */,
    433 /* fspick */,
    442 /* mount_setattr */,
    SYS_open_by_handle_at,
    SYS_name_to_handle_at,
    SYS_swapon,
    SYS_swapoff,
    SYS_quotactl,
    SYS_acct,
    // the kernel itself
    SYS_bpf,
    SYS_perf_event_open,
    SYS_userfaultfd,
    SYS_init_module,
    SYS_finit_module,
    SYS_delete_module,
    SYS_kexec_load,
    SYS_reboot,
    SYS_syslog,
    SYS_add_key,
    SYS_request_key,
    SYS_keyctl,
    425 /* io_uring_setup */,
    426 /* io_uring_enter */,
    427 /* io_uring_register */,
    SYS_personality,
    // the host's name and time
    SYS_sethostname,
    SYS_setdomainname,
    SYS_settimeofday,
    SYS_clock_settime,
    SYS_clock_adjtime,
    SYS_adjtimex,
#if defined(__x86_64__)
    SYS_fork,
    SYS_vfork,
    SYS_iopl,
    SYS_ioperm,
    SYS_modify_ldt,
    SYS_kexec_file_load,
#endif
};

constexpr int kNetwork[] = {SYS_socket, SYS_connect, SYS_bind, SYS_listen};
constexpr int kAccepting[] = {SYS_accept, SYS_accept4};

constexpr uint32_t kClone = SYS_clone;  // tidy: allow(processes) a number to filter, not a call

using Program = std::vector<sock_filter>;

void Load(Program& program, size_t offset) {
  program.push_back(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<uint32_t>(offset)));
}

void Return(Program& program, uint32_t action) {
  program.push_back(BPF_STMT(BPF_RET | BPF_K, action));
}

void ReturnIfCall(Program& program, int number, uint32_t action) {
  program.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(number), 0, 1));
  Return(program, action);
}

Program MakeProgram(Sockets sockets) {
  Program program;
  Load(program, offsetof(seccomp_data, arch));
  program.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kArchitecture, 1, 0));
  Return(program, SECCOMP_RET_KILL_PROCESS);
  Load(program, offsetof(seccomp_data, nr));
#if defined(__x86_64__)
  // The x32 way to the same calls.
  program.push_back(BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0x40000000, 0, 1));
  Return(program, kRefuse);
#endif
  for (const int number : kTaken) ReturnIfCall(program, number, kRefuse);
  if (sockets != Sockets::kAllowed) {
    for (const int number : kNetwork) ReturnIfCall(program, number, kRefuse);
  }
  if (sockets == Sockets::kForbidden) {
    for (const int number : kAccepting) ReturnIfCall(program, number, kRefuse);
  }
  ReturnIfCall(program, 435 /* clone3 */, kMissing);
  // clone: threads only, and the flags of threads exclude new namespaces but for these.
  program.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kClone, 0, 5));
  Load(program, offsetof(seccomp_data, args[0]));
  program.push_back(BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, CLONE_THREAD, 1, 0));
  Return(program, kRefuse);
  program.push_back(BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K,
                             static_cast<uint32_t>(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWUTS |
                                                   CLONE_NEWIPC | CLONE_NEWCGROUP | CLONE_NEWUSER),
                             0, 1));
  Return(program, kRefuse);
  Return(program, kAllow);
  return program;
}

}  // namespace

absl::Status FilterSyscalls(Sockets sockets) {
  Program program = MakeProgram(sockets);
  sock_fprog filter = {static_cast<unsigned short>(program.size()), program.data()};
  if (::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter) != 0 && errno != ENOSYS &&
      errno != EINVAL) {
    return ErrnoStatus(errno, "seccomp");
  }
  return absl::OkStatus();
}

}  // namespace berth::worker
