// clone3(2) with a stack of its own for the child: for a child that shares our memory.
//
// No C library in between: errno belongs to the thread whose thread-local storage the child shares,
// so neither side may write it here. Thread-safe.
#ifndef BERTH_SHIM_LAUNCH_RAW_CLONE_H_
#define BERTH_SHIM_LAUNCH_RAW_CLONE_H_

#include <linux/sched.h>
#include <sched.h>
#include <sys/syscall.h>

namespace berth::launch {

#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
// A sanitizer takes the child's frames for its thread's.
inline constexpr bool kCanShareMemory = true;

// The child's pid, or a negative errno. The child runs `entry(argument)`, which must not return, on
// the stack that `arguments` name.
inline long RawClone(clone_args& arguments, void (*entry)(void*), void* argument) {
  register void (*entry_register)(void*) asm("r8") = entry;
  register void* argument_register asm("r9") = argument;
  long result;
  asm volatile(
      "syscall\n\t"
      "test %%rax, %%rax\n\t"
      "jnz 1f\n\t"
      "xor %%ebp, %%ebp\n\t"
      "mov %%r9, %%rdi\n\t"
      "call *%%r8\n\t"
      "hlt\n"
      "1:"
      : "=a"(result)
      : "a"(static_cast<long>(SYS_clone3)), "D"(&arguments), "S"(sizeof(arguments)),
        "r"(entry_register), "r"(argument_register)
      : "rcx", "r11", "memory");
  return result;
}

// For the child: system calls that leave errno alone.
inline long RawCall(long number, long first, long second = 0, long third = 0, long fourth = 0) {
  register long fourth_register asm("r10") = fourth;
  long result;
  asm volatile("syscall"
               : "=a"(result)
               : "a"(number), "D"(first), "S"(second), "d"(third), "r"(fourth_register)
               : "rcx", "r11", "memory");
  return result;
}
#else
inline constexpr bool kCanShareMemory = false;
inline long RawClone(clone_args&, void (*)(void*), void*) { return -38 /* ENOSYS */; }
inline long RawCall(long, long, long = 0, long = 0, long = 0) { return -38; }
#endif

}  // namespace berth::launch

#endif  // BERTH_SHIM_LAUNCH_RAW_CLONE_H_
