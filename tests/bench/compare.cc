// Compares two servers of containerd's API: the life of a container that runs `true`, on both in
// turn, with the same client, rootfs and spec; and execs of `true` in a container that runs.
//
//   compare --berthd SOCKET --containerd SOCKET [--turns N] [--clients N] [--lives N] [--execs N]
//           [--json FILE]
//   compare --berthd SOCKET --load LIVES      only lives on berthd, for whoever watches it
//   meanwhile
#include <stdio.h>

#include <CLI/CLI.hpp>
#include <fstream>
#include <iostream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/status/status_macros.h"
#include "tests/bench/container_life.h"
#include "tests/bench/report.h"

namespace berth::bench {
namespace {

struct Options {
  std::string berthd;
  std::string containerd;
  std::string snapshotter = "overlayfs";
  std::string busybox = "/bin/busybox";
  std::string json;
  std::string floor;  // the program; empty: not measured
  std::string floor_root;
  int turns = 100;
  int clients = 1;
  int lives = 1;
  int execs = 5;
  int load = 0;
  double require_ratio = 0;
};

constexpr int kWarmUpTurns = 2;  // not counted: first uses load programs and fill caches

// `clients` threads, each with `lives` containers one after the other.
absl::Status RunTurn(Server& server, const Options& options, int turn, Results* results) {
  std::vector<std::vector<LifeTimes>> lives(options.clients);
  std::vector<absl::Status> statuses(options.clients);
  std::vector<std::thread> threads;
  const absl::Time begin = absl::Now();
  for (int client = 0; client < options.clients; ++client) {
    threads.emplace_back([&, client] {
      for (int life = 0; life < options.lives; ++life) {
        auto times =
            server.Run(absl::StrCat("bench-", turn, "-", client, "-", life), {"/bin/true"});
        if (!times.ok()) {
          statuses[client] = times.status();
          return;
        }
        lives[client].push_back(*times);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  const absl::Duration wall = absl::Now() - begin;
  std::vector<LifeTimes> all;
  for (int client = 0; client < options.clients; ++client) {
    BERTH_RETURN_IF_ERROR(statuses[client]);
    all.insert(all.end(), lives[client].begin(), lives[client].end());
  }
  if (results != nullptr) results->AddTurn(all, wall);
  return absl::OkStatus();
}

// A container that runs while the comparison does, for execs. Its id is the server's own: both
// servers make their control groups below the same one.
class Sleeper {
 public:
  explicit Sleeper(Server& server) : server_(server) {}
  // After a failure as well: a container outlives its daemon.
  ~Sleeper() {
    const absl::Status status = Stop();
    if (!status.ok()) std::cerr << "compare: stopping " << id() << ": " << status << "\n";
  }
  std::string id() const { return absl::StrCat("bench-sleeper-", server_.label()); }
  absl::Status Start() {
    running_ = true;
    return server_.StartContainer(id(), {"/bin/sleep", "1000000"});
  }
  absl::Status Stop() {
    if (!std::exchange(running_, false)) return absl::OkStatus();
    return server_.StopContainer(id());
  }

 private:
  Server& server_;
  bool running_ = false;
};

// Execs, one after the other, in `sleeper`.
absl::Status RunExecs(Server& server, const Sleeper& sleeper, const Options& options, int turn,
                      Results* results) {
  std::vector<absl::Duration> times;
  for (int exec = 0; exec < options.execs; ++exec) {
    BERTH_ASSIGN_OR_RETURN(
        const absl::Duration time,
        server.Exec(sleeper.id(), absl::StrCat("exec-", turn, "-", exec), {"/bin/true"}));
    times.push_back(time);
  }
  if (results != nullptr && !times.empty()) results->AddExecs(times);
  return absl::OkStatus();
}

// What floor prints: microseconds, a line each. Their median goes into `samples`, in milliseconds.
absl::Status RunFloor(const Options& options, const char* mode, int lives, Samples* samples) {
  const std::string command =
      absl::StrCat(options.floor, " --root ", options.floor_root, " --busybox ", options.busybox,
                   " --lives ", lives, mode);
  FILE* output = ::popen(command.c_str(), "re");
  if (output == nullptr) return absl::InternalError(absl::StrCat("cannot run ", command));
  Samples times;
  long long micros = 0;
  while (::fscanf(output, "%lld", &micros) == 1) times.Add(static_cast<double>(micros) / 1000);
  if (::pclose(output) != 0) return absl::InternalError(absl::StrCat(command, " failed"));
  samples->Add(times.Percentile(0.5));
  return absl::OkStatus();
}

absl::Status RunFloors(const Options& options, FloorResults* floor) {
  if (options.floor.empty()) return absl::OkStatus();
  BERTH_RETURN_IF_ERROR(RunFloor(options, "", options.lives, &floor->lives));
  if (options.execs == 0) return absl::OkStatus();
  return RunFloor(options, " --exec", options.execs, &floor->execs);
}

absl::Status Load(const Options& options) {
  Server server("berthd", options.berthd, options.snapshotter);
  BERTH_RETURN_IF_ERROR(server.SetUp(options.busybox));
  for (int life = 0; life < options.load; ++life) {
    BERTH_RETURN_IF_ERROR(server.Run(absl::StrCat("load-", life), {"/bin/true"}).status());
  }
  return server.TearDown();
}

absl::Status WriteJson(const Options& options, const Comparison& comparison) {
  if (options.json.empty()) return absl::OkStatus();
  std::ofstream file(options.json);
  file << JsonReport(comparison);
  if (!file.flush()) return absl::InternalError(absl::StrCat("cannot write ", options.json));
  return absl::OkStatus();
}

absl::Status Compare(const Options& options) {
  Server fast("berthd", options.berthd, options.snapshotter);
  Server slow("containerd", options.containerd, options.snapshotter);
  Server* servers[] = {&fast, &slow};
  Sleeper sleepers[] = {Sleeper(fast), Sleeper(slow)};
  for (int i = 0; i < 2; ++i) {
    BERTH_ASSIGN_OR_RETURN(const std::string version, servers[i]->Version());
    std::cerr << version << "\n";
    BERTH_RETURN_IF_ERROR(servers[i]->SetUp(options.busybox));
    BERTH_RETURN_IF_ERROR(sleepers[i].Start());
  }
  Results fast_results("berthd");
  Results slow_results("containerd");
  FloorResults floor;
  for (int turn = 0; turn < kWarmUpTurns + options.turns; ++turn) {
    const bool counts = turn >= kWarmUpTurns;
    Results* results[] = {counts ? &fast_results : nullptr, counts ? &slow_results : nullptr};
    for (int i = 0; i < 2; ++i) {
      const int which = (i + turn) % 2;  // neither always goes first
      BERTH_RETURN_IF_ERROR(RunTurn(*servers[which], options, turn, results[which]));
      BERTH_RETURN_IF_ERROR(
          RunExecs(*servers[which], sleepers[which], options, turn, results[which]));
    }
    if (counts) {
      BERTH_RETURN_IF_ERROR(RunFloors(options, &floor));
    }
  }
  for (int i = 0; i < 2; ++i) {
    BERTH_RETURN_IF_ERROR(sleepers[i].Stop());
    BERTH_RETURN_IF_ERROR(servers[i]->TearDown());
  }
  const Comparison comparison{fast_results, slow_results, floor};
  std::cout << TableReport(comparison);
  BERTH_RETURN_IF_ERROR(WriteJson(options, comparison));
  const double ratio = LifeRatios(fast_results, slow_results).Percentile(0.5);
  if (ratio < options.require_ratio) {
    return absl::FailedPreconditionError(
        absl::StrCat("the ratio ", ratio, " is below the ", options.require_ratio, " required"));
  }
  return absl::OkStatus();
}

}  // namespace
}  // namespace berth::bench

int main(int argc, char** argv) {
  berth::bench::Options options;
  CLI::App app("Compares the life of a container on berthd and containerd.");
  app.add_option("--berthd", options.berthd, "berthd's socket")->required();
  app.add_option("--containerd", options.containerd, "containerd's socket");
  app.add_option("--snapshotter", options.snapshotter, "Snapshotter on both")
      ->capture_default_str();
  app.add_option("--busybox", options.busybox, "A static busybox")->capture_default_str();
  app.add_option("--turns", options.turns, "Turns per server")
      ->capture_default_str()
      ->check(CLI::Range(1, 100000));
  app.add_option("--clients", options.clients, "Threads per turn")
      ->capture_default_str()
      ->check(CLI::Range(1, 256));
  app.add_option("--lives", options.lives, "Containers per thread and turn")
      ->capture_default_str()
      ->check(CLI::Range(1, 100000));
  app.add_option("--execs", options.execs, "Execs per turn")
      ->capture_default_str()
      ->check(CLI::Range(0, 100000));
  app.add_option("--load", options.load, "Only run this many lives, on berthd")
      ->check(CLI::Range(1, 100000));
  app.add_option("--floor", options.floor, "The program that measures what the kernel alone takes");
  app.add_option("--floor-root", options.floor_root, "A directory for it");
  app.add_option("--require-ratio", options.require_ratio, "Fail below this median ratio");
  app.add_option("--json", options.json, "Also write the results to this file");
  CLI11_PARSE(app, argc, argv);
  if (options.load == 0 && options.containerd.empty()) {
    std::cerr << "compare: --containerd SOCKET says what to compare with\n";
    return 2;
  }
  const absl::Status status =
      options.load > 0 ? berth::bench::Load(options) : berth::bench::Compare(options);
  if (status.ok()) return 0;
  std::cerr << "compare: " << status << "\n";
  return 1;
}
