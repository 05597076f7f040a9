// Container lives without end: whether the daemon's and a shim's memory stay where they are.
//
//   soak --bin DIR --dir DIR [--lives 50000] [--minutes 120] [--execs 100000]
//
// Beside the lives one container runs execs; its shim must hold after the last what it held after
// the first hundred. Ends with an error when either grew beyond its bound.
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <iostream>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/os/lock_checks.h"
#include "base/os/mutex.h"
#include "base/status/status_macros.h"
#include "tests/bench/bench_daemon.h"
#include "tests/bench/container_life.h"
#include "tests/bench/process_numbers.h"

namespace berth::bench {
namespace {

constexpr int kLanes = 2;
constexpr int kWarmUpLives = 200;
constexpr int kWarmUpExecs = 100;
// Pages that the allocator keeps for the next peak; a leak of one small object per life is beyond
// it.
constexpr int64_t kDaemonGrowthKib = 6144;
constexpr int64_t kShimGrowthKib = 64;
constexpr char kLong[] = "soak-long";

struct Options {
  std::string bin, directory, busybox = "/bin/busybox";
  int lives = 50000;
  int execs = 100000;
  int minutes = 120;
};

class Soak {
 public:
  explicit Soak(Options options) : options_(std::move(options)) {}
  absl::Status Run();

 private:
  void Live(Server& server, int lane);
  void Execute(Server& server);
  void Stop(const absl::Status& reason);
  void Tell(absl::Time begin) const;

  const Options options_;
  ChildProcess daemon_;
  pid_t shim_ = -1;
  std::atomic<bool> over_{false};
  std::atomic<int> lives_{0};
  std::atomic<int> execs_{0};
  std::atomic<int64_t> daemon_warm_kib_{0};
  std::atomic<int64_t> shim_warm_kib_{0};
  Mutex mutex_;
  absl::Status failure_ ABSL_GUARDED_BY(mutex_);
};

void Soak::Stop(const absl::Status& reason) {
  const MutexLock lock(&mutex_);
  failure_.Update(reason);
  over_ = true;
}

void Soak::Live(Server& server, int lane) {
  for (int number = 0; !over_ && lives_ < options_.lives; ++number) {
    const auto life =
        server.Run(absl::StrCat("soak-", lane, "-", number), {.arguments = {"/bin/true"}});
    if (!life.ok()) return Stop(life.status());
    if (++lives_ == kWarmUpLives) daemon_warm_kib_ = MemoryKib(daemon_.pid(), "Rss:");
  }
}

void Soak::Execute(Server& server) {
  while (!over_ && execs_ < options_.execs) {
    const auto exec = server.Exec(kLong, absl::StrCat("e", execs_.load()), {"/bin/true"});
    if (!exec.ok()) return Stop(exec.status());
    if (++execs_ == kWarmUpExecs) shim_warm_kib_ = MemoryKib(shim_, "Anonymous:");
  }
}

void Soak::Tell(absl::Time begin) const {
  std::cout << absl::ToInt64Seconds(absl::Now() - begin) << " s: " << lives_ << " lives, " << execs_
            << " execs; berthd Rss " << MemoryKib(daemon_.pid(), "Rss:") << " KiB, shim Rss "
            << MemoryKib(shim_, "Rss:") << " KiB, its own " << MemoryKib(shim_, "Anonymous:")
            << " KiB" << std::endl;
}

absl::Status Soak::Run() {
  BERTH_ASSIGN_OR_RETURN(daemon_, StartDaemon(options_.bin, "berthd", options_.directory));
  const absl::Time begin = absl::Now();
  const std::string socket = SocketOf(options_.directory);
  BERTH_RETURN_IF_ERROR(AwaitListener(socket, begin + absl::Seconds(30)));
  Server server("berthd", socket, "overlayfs", "berth-soak");
  BERTH_RETURN_IF_ERROR(server.SetUp(options_.busybox));
  BERTH_RETURN_IF_ERROR(
      server.StartContainer(kLong, {.arguments = {"/bin/sleep", "1000000"}}).status());
  const std::vector<pid_t> shims = ShimsOf(options_.directory);
  if (shims.size() != 1) return absl::InternalError("not one shim");
  shim_ = shims[0];
  std::vector<std::thread> lanes;
  for (int lane = 0; lane < kLanes; ++lane) {
    lanes.emplace_back([this, &server, lane] { Live(server, lane); });
  }
  lanes.emplace_back([this, &server] { Execute(server); });
  const absl::Time end = begin + absl::Minutes(options_.minutes);
  absl::Time next = begin;
  while (!over_ && lives_ < options_.lives && absl::Now() < end) {
    if (absl::Now() >= next) {
      Tell(begin);
      next += absl::Seconds(30);
    }
    absl::SleepFor(absl::Milliseconds(200));  // tidy: allow(sleep) a look now and then is the point
  }
  over_ = true;
  for (std::thread& lane : lanes) lane.join();
  Tell(begin);
  const int64_t daemon_kib = MemoryKib(daemon_.pid(), "Rss:") - daemon_warm_kib_;
  const int64_t shim_kib = MemoryKib(shim_, "Anonymous:") - shim_warm_kib_;
  std::cout << "growth: berthd " << daemon_kib << " KiB since life " << kWarmUpLives << ", shim "
            << shim_kib << " KiB since exec " << kWarmUpExecs << std::endl;
  {
    const MutexLock lock(&mutex_);
    BERTH_RETURN_IF_ERROR(failure_);
  }
  BERTH_RETURN_IF_ERROR(server.StopContainer(kLong));
  BERTH_RETURN_IF_ERROR(server.TearDown());
  BERTH_RETURN_IF_ERROR(daemon_.Signal(SIGTERM));
  BERTH_RETURN_IF_ERROR(daemon_.Wait(absl::Seconds(30)).status());
  if (daemon_warm_kib_ != 0 && daemon_kib > kDaemonGrowthKib) {
    return absl::InternalError("berthd grows");
  }
  if (shim_warm_kib_ != 0 && shim_kib > kShimGrowthKib)
    return absl::InternalError("the shim grows");
  return absl::OkStatus();
}

}  // namespace
}  // namespace berth::bench

int main(int argc, char** argv) {
  berth::DropLockOrderChecks();
  berth::bench::Options options;
  CLI::App app("Container lives without end, and what they leave in memory.");
  app.add_option("--bin", options.bin, "Directory of the daemon's programs")->required();
  app.add_option("--dir", options.directory, "A directory of its own")->required();
  app.add_option("--busybox", options.busybox, "A static busybox");
  app.add_option("--lives", options.lives, "How many lives at most");
  app.add_option("--execs", options.execs, "How many execs at most");
  app.add_option("--minutes", options.minutes, "How long at most");
  CLI11_PARSE(app, argc, argv);
  const absl::Status status = berth::bench::Soak(options).Run();
  if (status.ok()) return 0;
  std::cerr << "soak: " << status.message() << std::endl;
  return 1;
}
