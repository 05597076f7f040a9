// The other end of a program that sends a file descriptor: consoles, pidfds, seccomp listeners.
//
// Thread-safe function.
#ifndef BERTH_TESTS_TESTING_RECEIVE_DESCRIPTOR_H_
#define BERTH_TESTS_TESTING_RECEIVE_DESCRIPTOR_H_

#include <string>

#include "base/os/unique_fd.h"

namespace berth {

// Accepts one connection of `listener`, for ten seconds at most: the descriptor that comes on it
// (SCM_RIGHTS of unix(7)), and the text with it. Invalid when none came.
UniqueFd AcceptDescriptor(BorrowedFd listener, std::string& text);

}  // namespace berth

#endif  // BERTH_TESTS_TESTING_RECEIVE_DESCRIPTOR_H_
