// Which pages of a program are in its page tables: those that will be needed for sure are taken in
// by one call, those that only its start needed go by another.
//
// A process begins with none of its program's pages mapped, and so does the child of a clone, whose
// page tables leave out what a file holds; its heap and stack are the parent's, and both sides take
// a fault at the first write to each page. These are some hundred and fifty faults in a shim's
// life, and in a virtual machine each of them costs tens of microseconds: more than all of its
// system calls. A kernel that cannot (MADV_POPULATE_READ and _WRITE, Linux 5.14, madvise(2)) leaves
// it at the faults.
//
// For small programs with one thread that allocates, but for DropProgram.
#ifndef BERTH_BASE_OS_PREFAULT_H_
#define BERTH_BASE_OS_PREFAULT_H_

namespace berth {

// For a daemon that has started: no page of its code is mapped any more. The file keeps them, and
// what service needs comes back at its next use, sixteen pages a fault (14 MB of berthd's resident
// memory were code of its start). Breakpoints of a debugger go too. Thread-safe.
void DropProgram();

// Code and constants. Allocates nothing and writes nothing: also for code after clone3.
void PrefaultProgram();

// What malloc has of the kernel and has not given out yet, and what the stack usually grows by, for
// writing.
void PrefaultFreeHeapAndStack();

// After a copy of this process was made, in the one that goes on: heap and stack become its own
// again. Only pages that it had touched: libstdc++ keeps 72 KB for exceptions without memory, which
// nobody ever writes to.
void UnshareHeapAndStack();

}  // namespace berth

#endif  // BERTH_BASE_OS_PREFAULT_H_
