#include "server/task/command_runner.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "base/os/unique_fd.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"

namespace berth {
namespace {

constexpr size_t kReadBytes = 16u << 10;

struct Spawned {
  ChildProcess child;
  UniqueFd output;
  UniqueFd errors;
};

// Blocks for the moment that posix_spawn takes.
absl::StatusOr<Spawned> SpawnWithPipes(SpawnOptions command, const std::string& input) {
  BERTH_ASSIGN_OR_RETURN(Pipe in, MakePipe());
  BERTH_ASSIGN_OR_RETURN(Pipe out, MakePipe());
  BERTH_ASSIGN_OR_RETURN(Pipe err, MakePipe());
  command.descriptors.insert(command.descriptors.end(), {{STDIN_FILENO, in.read.get()},
                                                         {STDOUT_FILENO, out.write.get()},
                                                         {STDERR_FILENO, err.write.get()}});
  // A pipe takes 64 KiB before it makes anybody wait.
  BERTH_RETURN_IF_ERROR(WriteAll(in.write, input));
  Spawned spawned;
  BERTH_ASSIGN_OR_RETURN(spawned.child, Spawn(command));
  for (const UniqueFd* end : {&out.read, &err.read}) {
    if (::fcntl(end->get(), F_SETFL, O_NONBLOCK) != 0) return ErrnoStatus(errno, "fcntl(F_SETFL)");
  }
  spawned.output = std::move(out.read);
  spawned.errors = std::move(err.read);
  return spawned;
}

}  // namespace

// One command from spawn to reaping.
class CommandRunner::Running : public std::enable_shared_from_this<Running> {
 public:
  Running(CommandRunner& runner, Done done)
      : runner_(runner), loop_(runner.loop_), done_(std::move(done)) {}
  ~Running() { loop_.Cancel(timer_); }

  void Begin(absl::StatusOr<Spawned> spawned, absl::Duration timeout) {
    if (!spawned.ok()) return End(spawned.status());
    spawned_ = *std::move(spawned);
    const absl::Status watched = Watch();
    if (!watched.ok()) return End(watched);
    timer_ = loop_.After(timeout, [this, timeout] {
      End(absl::DeadlineExceededError(absl::StrCat("killed after ", absl::FormatDuration(timeout),
                                                   result_.errors.empty() ? "" : ": ",
                                                   result_.errors)));
    });
  }

 private:
  absl::Status Watch() {
    BERTH_ASSIGN_OR_RETURN(output_watch_, loop_.Watch(spawned_.output, EPOLLIN, [this](uint32_t) {
      Drain(spawned_.output, output_watch_, result_.output);
    }));
    BERTH_ASSIGN_OR_RETURN(errors_watch_, loop_.Watch(spawned_.errors, EPOLLIN, [this](uint32_t) {
      Drain(spawned_.errors, errors_watch_, result_.errors);
    }));
    BERTH_ASSIGN_OR_RETURN(
        exit_watch_, loop_.Watch(spawned_.child.pidfd(), EPOLLIN, [this](uint32_t) { OnExit(); }));
    return absl::OkStatus();
  }

  // Reads what is there; a command that prints more than the limit is read on, so that it can end.
  void Drain(const UniqueFd& pipe, FdWatch& watch, std::string& into) {
    char buffer[kReadBytes];
    while (true) {
      const ssize_t got = ::read(pipe.get(), buffer, sizeof(buffer));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0 && errno == EAGAIN) return;
      if (got <= 0) return watch.Reset();
      const size_t room = kMaxOutputBytes - into.size();
      into.append(buffer, std::min<size_t>(room, static_cast<size_t>(got)));
    }
  }

  // What it wrote is in the pipes by now. Their ends may be held on by a process that it left
  // behind, so nobody waits for those to close.
  void OnExit() {
    absl::StatusOr<ExitState> exit = spawned_.child.Wait(absl::ZeroDuration());
    if (!exit.ok()) return End(exit.status());
    Drain(spawned_.output, output_watch_, result_.output);
    Drain(spawned_.errors, errors_watch_, result_.errors);
    result_.exit = *exit;
    End(std::move(result_));
  }

  void End(absl::StatusOr<CommandResult> result) {
    const std::shared_ptr<Running> self = shared_from_this();
    CommandRunner& runner = runner_;
    exit_watch_.Reset();
    output_watch_.Reset();
    errors_watch_.Reset();
    loop_.Cancel(std::exchange(timer_, TimerId::kNone));
    spawned_ = Spawned();  // kills and reaps what still runs
    runner.running_.erase(self);
    runner.StartNext();
    done_(std::move(result));
  }

  CommandRunner& runner_;  // gone when its *alive_ is false; used by Begin and later only
  Loop& loop_;
  Done done_;
  CommandResult result_;
  Spawned spawned_;
  FdWatch output_watch_;
  FdWatch errors_watch_;
  FdWatch exit_watch_;
  TimerId timer_ = TimerId::kNone;
};

CommandRunner::CommandRunner(Loop& loop, Executor& executor, Limits limits)
    : loop_(loop), executor_(executor), limits_(limits) {}

CommandRunner::~CommandRunner() { *alive_ = false; }

void CommandRunner::Run(SpawnOptions command, std::string input, absl::Duration timeout,
                        Done done) {
  if (waiting_.size() >= limits_.waiting) {
    loop_.Post([done = std::move(done)]() mutable {
      done(absl::ResourceExhaustedError("too many commands wait to be run"));
    });
    return;
  }
  waiting_.push_back({std::move(command), std::move(input), timeout, std::move(done)});
  StartNext();
}

void CommandRunner::StartNext() {
  while (!waiting_.empty() && running_.size() < limits_.parallel) {
    Waiting next = std::move(waiting_.front());
    waiting_.pop_front();
    auto running = std::make_shared<Running>(*this, std::move(next.done));
    running_.insert(running);
    auto spawn = [loop = &loop_, alive = alive_, running, command = std::move(next.command),
                  input = std::move(next.input), timeout = next.timeout]() mutable {
      auto spawned = SpawnWithPipes(std::move(command), input);
      // Moved, not copied: the last reference must go on the loop.
      loop->Post(
          [alive, running = std::move(running), timeout, spawned = std::move(spawned)]() mutable {
            if (*alive) running->Begin(std::move(spawned), timeout);
          });
    };
    executor_.PostContinuation(std::move(spawn));
  }
}

}  // namespace berth
