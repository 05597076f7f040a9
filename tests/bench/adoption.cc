// How long a daemon that was killed takes, from its exec on, to its first complete Tasks.List of
// all the containers that ran on, and how much memory it holds for them.
//
//   adoption --bin DIR --payload FILE --dir DIR [--containers 1000] [--runs 5]
#include <signal.h>
#include <sys/socket.h>

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <string>
#include <utility>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/os/fd_factories.h"
#include "base/os/lock_checks.h"
#include "base/os/spawn.h"
#include "base/status/status_macros.h"
#include "tests/bench/bench_daemon.h"
#include "tests/bench/container_life.h"
#include "tests/bench/process_numbers.h"
#include "tests/bench/stubs.h"

namespace berth::bench {
namespace {

struct Options {
  std::string bin, busybox = "/bin/busybox", directory, daemon = "berthd",
                   snapshotter = "overlayfs";
  int containers = 1000;
  int runs = 5;
};

class Bench {
 public:
  explicit Bench(Options options)
      : options_(std::move(options)), socket_(SocketOf(options_.directory)) {}

  absl::Status Run();

 private:
  // The time from exec to a list with `expected` running tasks.
  absl::StatusOr<absl::Duration> Adopt(ChildProcess& daemon, int expected) const;
  absl::StatusOr<int> CountRunning(Stubs& stubs) const;
  absl::Status Fill(int from, int to);

  const Options options_;
  const std::string socket_;
  bool is_set_up_ = false;
};

absl::StatusOr<int> Bench::CountRunning(Stubs& stubs) const {
  containerd::services::tasks::v1::ListTasksResponse response;
  BERTH_RETURN_IF_ERROR(Call(stubs.tasks, &containerd::services::tasks::v1::Tasks::Stub::List,
                             containerd::services::tasks::v1::ListTasksRequest(), &response));
  return static_cast<int>(std::count_if(
      response.tasks().begin(), response.tasks().end(),
      [](const auto& task) { return task.status() == containerd::v1::types::RUNNING; }));
}

absl::StatusOr<absl::Duration> Bench::Adopt(ChildProcess& daemon, int expected) const {
  const absl::Time begin = absl::Now();
  BERTH_ASSIGN_OR_RETURN(daemon, StartDaemon(options_.bin, options_.daemon, options_.directory));
  const absl::Time deadline = begin + absl::Minutes(2);
  // A client that tries again at once; gRPC's own waits between attempts are not the daemon's.
  while (!ConnectUnix(socket_, SOCK_NONBLOCK).ok()) {
    if (absl::Now() > deadline) return absl::DeadlineExceededError("the daemon's socket");
    absl::SleepFor(absl::Microseconds(200));  // tidy: allow(sleep) nothing tells of a socket
  }
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetMaxReceiveMessageSize(-1);
  Stubs stubs(grpc::CreateCustomChannel(absl::StrCat("unix://", socket_),
                                        grpc::InsecureChannelCredentials(), arguments));
  while (true) {
    BERTH_ASSIGN_OR_RETURN(const int running, CountRunning(stubs));
    if (running == expected) return absl::Now() - begin;
    if (absl::Now() > deadline) {
      return absl::DeadlineExceededError(absl::StrCat(running, " of ", expected, " are listed"));
    }
  }
}

absl::Status Bench::Fill(int from, int to) {
  Server server("daemon", socket_, options_.snapshotter, "berth-adoption");
  BERTH_RETURN_IF_ERROR(server.Version().status());
  if (!std::exchange(is_set_up_, true)) {
    BERTH_RETURN_IF_ERROR(server.SetUp(options_.busybox));
  }
  for (int i = from; i < to; ++i) {
    BERTH_RETURN_IF_ERROR(
        server.StartContainer(absl::StrCat("adopt-", i), {.arguments = {"/bin/sleep", "100000"}})
            .status());
  }
  return absl::OkStatus();
}

absl::Status Bench::Run() {
  std::error_code error;
  std::filesystem::create_directories(options_.directory, error);
  ChildProcess daemon;
  BERTH_RETURN_IF_ERROR(Adopt(daemon, 0).status());
  int filled = 0;
  for (const int count : {0, std::min(100, options_.containers), options_.containers}) {
    BERTH_RETURN_IF_ERROR(Fill(filled, count));
    const int64_t made_kib = MemoryKib(daemon.pid(), "Rss:");
    filled = count;
    std::vector<absl::Duration> times;
    for (int run = 0; run < options_.runs; ++run) {
      BERTH_RETURN_IF_ERROR(daemon.Signal(SIGKILL));
      BERTH_RETURN_IF_ERROR(daemon.Wait(absl::Seconds(10)).status());
      BERTH_ASSIGN_OR_RETURN(const absl::Duration time, Adopt(daemon, count));
      times.push_back(time);
    }
    std::sort(times.begin(), times.end());
    std::cout << count << " containers: exec to the first complete Tasks.List p50 "
              << absl::ToInt64Milliseconds(times[times.size() / 2]) << " ms, best "
              << absl::ToInt64Milliseconds(times.front()) << " ms, worst "
              << absl::ToInt64Milliseconds(times.back()) << " ms; resident " << made_kib
              << " KiB after making them, " << MemoryKib(daemon.pid(), "Rss:")
              << " KiB after adoption" << std::endl;
  }
  // The next daemon removes what the killed shims held.
  Server server("daemon", socket_, options_.snapshotter, "berth-adoption");
  for (int i = 0; i < filled; ++i) {
    BERTH_RETURN_IF_ERROR(server.StopContainer(absl::StrCat("adopt-", i)));
  }
  BERTH_RETURN_IF_ERROR(server.TearDown());
  BERTH_RETURN_IF_ERROR(daemon.Signal(SIGTERM));
  return daemon.Wait(absl::Seconds(30)).status();
}

}  // namespace
}  // namespace berth::bench

int main(int argc, char** argv) {
  berth::DropLockOrderChecks();
  berth::bench::Options options;
  CLI::App app("Times the adoption of running containers by a new daemon.");
  app.add_option("--bin", options.bin, "Directory of the daemon's programs")->required();
  app.add_option("--dir", options.directory, "A directory of its own")->required();
  app.add_option("--daemon", options.daemon, "berthd or containerd");
  app.add_option("--busybox", options.busybox, "A static busybox");
  app.add_option("--containers", options.containers, "How many");
  app.add_option("--runs", options.runs, "Restarts for each number");
  CLI11_PARSE(app, argc, argv);
  const absl::Status status = berth::bench::Bench(options).Run();
  if (status.ok()) return 0;
  std::cerr << "adoption: " << status.message() << std::endl;
  return 1;
}
