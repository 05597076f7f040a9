// Which file a process's args[0] means, and why it cannot run when it cannot.
//
// execve says ENOENT for a missing file, a missing "#!" interpreter and a missing ELF loader alike;
// users deserve to know which. For the child after clone3, inside the container's root and as its
// user; nothing allocates. The texts hold the words that Docker's clients look for ("executable
// file not found in $PATH", "no such file or directory", "permission denied", "is a directory").
#ifndef BERTH_SHIM_INIT_PROGRAM_FINDER_H_
#define BERTH_SHIM_INIT_PROGRAM_FINDER_H_

#include <climits>

#include "shim/init/reporter.h"

namespace berth::init {

// Writes the path to execute into `path`: `program` itself when it has a slash, else the first
// executable of that name in PATH (of `environment`, a null-terminated list). Ends the child when
// there is none.
void FindProgram(Reporter& report, const char* program, const char* const* environment,
                 char (&path)[PATH_MAX]);

// Ends the child with the reason why execve of `path` failed with `error_number`.
[[noreturn]] void ExplainExecFailure(Reporter& report, const char* path, int error_number);

}  // namespace berth::init

#endif  // BERTH_SHIM_INIT_PROGRAM_FINDER_H_
