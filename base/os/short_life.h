// What a program that runs one command and ends gives up, to be done sooner: memory that it will
// not need, and nothing else.
//
// In a virtual machine the first touch of a page costs tens of microseconds, and a command that
// lists ten thousand containers touches thousands. One arena for all threads, memory that is kept
// when it is freed, and pages of 2 MB where the kernel offers them on request (madvise(2),
// MADV_HUGEPAGE) take most of these faults away. Thread-hostile: main's first call.
#ifndef BERTH_BASE_OS_SHORT_LIFE_H_
#define BERTH_BASE_OS_SHORT_LIFE_H_

namespace berth {

// For programs that end when their command does. Not for a daemon: it holds up to 8 MB more.
void PrepareShortLife();

}  // namespace berth

#endif  // BERTH_BASE_OS_SHORT_LIFE_H_
