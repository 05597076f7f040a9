#include "shim/init/container_init.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "absl/strings/match.h"

namespace berth::init {
namespace {

constexpr int kNotExecutable = 126;
constexpr int kNotFound = 127;
constexpr int kSignalBase = 128;

// Signals that tell of a fault of our own stay with us; all others are for the program.
void BlockSignals(sigset_t& all, sigset_t& before) {
  ::sigfillset(&all);
  for (const int fault : {SIGFPE, SIGILL, SIGSEGV, SIGBUS, SIGABRT, SIGTRAP, SIGSYS}) {
    ::sigdelset(&all, fault);
  }
  ::sigprocmask(SIG_SETMASK, &all, &before);
}

// In the child: a process group of its own that has the terminal, so that what the keyboard sends
// goes to the program and not to us.
[[noreturn]] void Execute(char** words, const sigset_t& before) {
  ::setpgid(0, 0);
  ::tcsetpgrp(STDIN_FILENO, ::getpgrp());  // fails where there is no terminal
  ::sigprocmask(SIG_SETMASK, &before, nullptr);
  ::execvp(words[0], words);
  const int error = errno;
  ::fprintf(stderr, "docker-init: %s: %s\n", words[0], ::strerror(error));
  ::_exit(error == ENOENT || error == ENOTDIR ? kNotFound : kNotExecutable);
}

int CodeOf(int status) {
  return WIFSIGNALED(status) ? kSignalBase + WTERMSIG(status) : WEXITSTATUS(status);
}

// Takes every child that has ended. True when the program was among them.
bool Reap(pid_t program, int& exit_code) {
  bool has_ended = false;
  int status = 0;
  for (pid_t pid = 0; (pid = ::waitpid(-1, &status, WNOHANG)) > 0;) {
    if (pid != program) continue;
    exit_code = CodeOf(status);
    has_ended = true;
  }
  return has_ended;
}

}  // namespace

bool IsContainerInit(absl::string_view argv0) {
  return argv0 == "docker-init" || absl::EndsWith(argv0, "/docker-init");
}

int RunContainerInit(int argc, char** argv) {
  int first = 1;
  if (first < argc && ::strcmp(argv[first], "--") == 0) ++first;
  if (first >= argc) {
    ::fputs("usage: docker-init [--] PROGRAM [ARGUMENT...]\n", stderr);
    return 1;
  }
  sigset_t all;
  sigset_t before;
  BlockSignals(all, before);
  const pid_t program = ::fork();
  if (program < 0) {
    ::fprintf(stderr, "docker-init: fork: %s\n", ::strerror(errno));
    return kNotExecutable;
  }
  if (program == 0) Execute(argv + first, before);
  while (true) {
    const int signal = ::sigwaitinfo(&all, nullptr);
    if (signal == SIGCHLD) {
      int exit_code = 0;
      if (Reap(program, exit_code)) return exit_code;
    } else if (signal > 0) {
      ::kill(program, signal);  // one that is gone is reaped next
    }
  }
}

}  // namespace berth::init
