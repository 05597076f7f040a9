#include "shim/launch/shared_child.h"

#include <elf.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>

#include "base/status/errno_status.h"
#include "shim/launch/raw_clone.h"

namespace berth::launch {
namespace {

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

constexpr size_t kPage = 4096;
// Below each stack lies a page that nobody may touch.
constexpr size_t kChildStack = 128 << 10;
constexpr size_t kHelperStack = 16 << 10;
constexpr size_t kStorage = 16 << 10;  // the helper's and the child's thread-local storage
constexpr size_t kMemory = kPage + kChildStack + kPage + kHelperStack + kStorage;
// What is used of them as a rule.
constexpr size_t kUsualChildStack = 24 << 10;
// The C library's record of a thread, which begins where the thread pointer points and has no size
// that is public: 2.3 KB with glibc 2.36. What follows ours is heap.
constexpr size_t kThreadRecord = 4 << 10;

// Bytes of thread-local variables below the thread pointer (x86-64 psABI, variant II).
size_t VariablesSize() {
  const auto* segment = reinterpret_cast<const Elf64_Phdr*>(::getauxval(AT_PHDR));
  const size_t count = segment == nullptr ? 0 : ::getauxval(AT_PHNUM);
  for (size_t i = 0; i < count; ++i) {
    if (segment[i].p_type != PT_TLS) continue;
    const size_t alignment = segment[i].p_align == 0 ? 1 : segment[i].p_align;
    return (segment[i].p_memsz + alignment - 1) / alignment * alignment;
  }
  return 0;
}

// A copy of this thread's storage that ends at the latest at `storage` + kStorage; the thread
// pointer to it, or null when it has no room. Who runs on it shares no errno with us.
char* CopyThreadStorage(char* storage) {
  const size_t variables = VariablesSize();
  if (variables + kThreadRecord > kStorage) return nullptr;
  const char* ours = static_cast<const char*>(__builtin_thread_pointer());
  char* copy = storage + kStorage - kThreadRecord;
  ::memcpy(copy - variables, ours - variables, variables + kThreadRecord);
  // The two words of the record that point to itself: %fs:0, which the ABI wants, and %fs:16.
  for (const size_t word : {size_t{0}, size_t{16}}) ::memcpy(copy + word, &copy, sizeof(copy));
  return copy;
}

}  // namespace

// What we, the helper, the child and the kernel share. The kernel stores the pid before the child
// runs.
struct SharedChild::Ground {
  ~Ground() {
    if (memory != nullptr) ::munmap(memory, kMemory);
  }
  char* child_stack() const { return memory + kPage; }
  char* helper_stack() const { return child_stack() + kChildStack + kPage; }
  char* storage() const { return helper_stack() + kHelperStack; }
  void MakeChild();

  char* memory = nullptr;
  Options options;
  bool joined_namespace = false;
  int failed_errno = 0;
  int32_t pid = 0;
  std::atomic<bool> left = false;  // set before `control` is closed
};

// In the helper.
void SharedChild::Ground::MakeChild() {
  joined_namespace = ::setns(options.pid_namespace.get(), CLONE_NEWPID) == 0;
  if (!joined_namespace) {
    failed_errno = errno;
    return;
  }
  clone_args arguments = {};
  // No handler of ours may run in the child: it would run in our memory.
  arguments.flags =
      CLONE_VM | CLONE_VFORK | CLONE_PARENT | CLONE_PARENT_SETTID | CLONE_CLEAR_SIGHAND;
  arguments.parent_tid = reinterpret_cast<uintptr_t>(&pid);
  arguments.stack = reinterpret_cast<uintptr_t>(child_stack());
  arguments.stack_size = kChildStack;
  if (options.cgroup.valid()) {
    arguments.flags |= CLONE_INTO_CGROUP;
    arguments.cgroup = static_cast<uint64_t>(options.cgroup.get());
  }
  const long result = RawClone(arguments, options.entry, options.argument);
  if (result < 0) failed_errno = static_cast<int>(-result);
}

SharedChild::SharedChild(std::unique_ptr<Ground> ground) : ground_(std::move(ground)) {}

absl::StatusOr<std::unique_ptr<SharedChild>> SharedChild::Start(const Options& options) {
  if (!kCanShareMemory) return absl::UnimplementedError("no clone with a stack of its own here");
  auto ground = std::make_unique<Ground>();
  void* memory = ::mmap(nullptr, kMemory, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return ErrnoStatus(errno, "map the stacks of an exec");
  ground->memory = static_cast<char*>(memory);
  for (char* stack : {ground->child_stack(), ground->helper_stack()}) {
    if (::mprotect(stack - kPage, kPage, PROT_NONE) != 0) {
      return ErrnoStatus(errno, "map the stacks of an exec");
    }
  }
  // One call instead of a fault for each page.
  ::madvise(ground->child_stack() + kChildStack - kUsualChildStack, kUsualChildStack,
            MADV_POPULATE_WRITE);
  char* thread_pointer = CopyThreadStorage(ground->storage());
  if (thread_pointer == nullptr) return absl::UnimplementedError("much thread-local storage");
  ground->options = options;
  int helper = -1;
  clone_args arguments = {};
  arguments.flags = CLONE_VM | CLONE_SETTLS | CLONE_PIDFD;
  arguments.pidfd = reinterpret_cast<uintptr_t>(&helper);
  arguments.exit_signal = SIGCHLD;
  arguments.stack = reinterpret_cast<uintptr_t>(ground->helper_stack());
  arguments.stack_size = kHelperStack;
  arguments.tls = reinterpret_cast<uintptr_t>(thread_pointer);
  const auto run = [](void* raw) {
    auto& ground = *static_cast<Ground*>(raw);
    const int control = ground.options.control.get();
    ground.options.let_go(ground.options.argument);
    ground.MakeChild();
    ground.left = true;
    RawCall(SYS_close, control);
    while (true) RawCall(SYS_exit_group, 0);
  };
  const long pid = RawClone(arguments, run, ground.get());
  if (pid < 0) return ErrnoStatus(static_cast<int>(-pid), "clone3");
  auto child = std::unique_ptr<SharedChild>(new SharedChild(std::move(ground)));
  child->helper_.Reset(helper);
  return child;
}

SharedChild::~SharedChild() {
  if (!WaitUntilLeft(absl::ZeroDuration())) (void)ground_.release();
}

bool SharedChild::WaitUntilLeft(absl::Duration patience) {
  if (!helper_.valid()) return true;
  struct pollfd ended = {helper_.get(), POLLIN, 0};
  if (ground_->left) patience = absl::Seconds(1);  // it is at its last instructions
  if (::poll(&ended, 1, static_cast<int>(absl::ToInt64Milliseconds(patience))) != 1) return false;
  Reap(helper_);
  helper_.Reset();
  return true;
}

absl::StatusOr<Cloned> SharedChild::Take() {
  const bool left = ground_->left;
  Cloned cloned;
  cloned.pid = __atomic_load_n(&ground_->pid, __ATOMIC_ACQUIRE);
  if (cloned.pid > 0) {
    // Ours to reap, so the number is its own until then.
    cloned.pidfd.Reset(static_cast<int>(::syscall(SYS_pidfd_open, cloned.pid, 0)));
    if (!cloned.pidfd.valid()) return ErrnoStatus(errno, "pidfd_open");
    return cloned;
  }
  if (!left) return absl::UnavailableError("the child is still being made");
  if (ground_->joined_namespace) return ErrnoStatus(ground_->failed_errno, "clone3");
  if (ground_->failed_errno == ESRCH) {
    return absl::FailedPreconditionError("cannot exec in a stopped container: init has ended");
  }
  return ErrnoStatus(ground_->failed_errno, "enter the pid namespace");
}

}  // namespace berth::launch
