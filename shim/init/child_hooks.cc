#include "shim/init/child_hooks.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>

namespace berth::init {
namespace {

[[noreturn]] void BecomeHook(const spec::Hook& hook, int input, int errors) {
  ::dup2(input, STDIN_FILENO);
  ::dup2(errors, STDERR_FILENO);
  ::dup2(errors, STDOUT_FILENO);
  std::vector<char*> arguments;
  for (const std::string& text : hook.args) arguments.push_back(const_cast<char*>(text.c_str()));
  if (arguments.empty()) arguments.push_back(const_cast<char*>(hook.path.c_str()));
  arguments.push_back(nullptr);
  std::vector<char*> environment;
  for (const std::string& text : hook.env) environment.push_back(const_cast<char*>(text.c_str()));
  environment.push_back(nullptr);
  ::execve(hook.path.c_str(), arguments.data(), environment.data());
  ::dprintf(STDERR_FILENO, "exec: %s", ::strerrordesc_np(errno));
  ::_exit(127);
}

// Reads what is there; the pipe is not waited for, a grandchild may hold it.
void ReadErrors(int fd, char (&text)[512]) {
  ::fcntl(fd, F_SETFL, O_NONBLOCK);
  const ssize_t size = ::read(fd, text, sizeof(text) - 1);
  text[size > 0 ? size : 0] = '\0';
  for (char* c = text; *c != '\0'; ++c) {
    if (*c == '\n') *c = ' ';
  }
}

void RunHook(Reporter& report, const char* kind, size_t index, const spec::Hook& hook,
             const std::string& state_json, absl::FunctionRef<void()> in_child) {
  const int input = ::memfd_create("state", MFD_CLOEXEC);
  int errors[2];
  if (input < 0 || ::pipe2(errors, O_CLOEXEC) != 0)  // tidy: allow(pipe) after clone3
    report.Fail(errno, "prepare hook", hook.path);
  if (::write(input, state_json.data(), state_json.size()) < 0 || ::lseek(input, 0, SEEK_SET) < 0) {
    report.Fail(errno, "prepare hook", hook.path);
  }
  const pid_t pid = ::fork();
  if (pid < 0) report.Fail(errno, "start hook", hook.path);
  if (pid == 0) {
    in_child();
    BecomeHook(hook, input, errors[1]);
  }
  ::close(input);
  ::close(errors[1]);
  const int pidfd = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
  const bool limited = hook.timeout < absl::Hours(24);
  struct pollfd wait = {pidfd, POLLIN, 0};
  const int timeout_ms = limited ? static_cast<int>(absl::ToInt64Milliseconds(hook.timeout)) : -1;
  int ready;
  do {
    ready = ::poll(&wait, 1, timeout_ms);
  } while (ready < 0 && errno == EINTR);
  if (ready == 0) {
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
    report.FailFormat(ETIMEDOUT, "%s hook [%zu] \"%s\" did not end within its %d s", kind, index,
                      hook.path.c_str(), timeout_ms / 1000);
  }
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  ::close(pidfd);
  char text[512];
  ReadErrors(errors[0], text);
  ::close(errors[0]);
  if (status == 0) return;
  report.FailFormat(ECHILD, "%s hook [%zu] \"%s\" failed with %s %d%s%s", kind, index,
                    hook.path.c_str(), WIFEXITED(status) ? "exit status" : "signal",
                    WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status),
                    text[0] != '\0' ? ": " : "", text);
}

}  // namespace

void RunChildHooks(Reporter& report, const char* kind, const std::vector<spec::Hook>& hooks,
                   const std::string& state_json, absl::FunctionRef<void()> in_child) {
  for (size_t i = 0; i < hooks.size(); ++i) {
    RunHook(report, kind, i, hooks[i], state_json, in_child);
  }
}

}  // namespace berth::init
