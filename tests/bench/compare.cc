// Compares two servers of containerd's API: the life of a container that runs `true`, on both in
// turn, with the same client, rootfs and spec.
//
//   compare --berthd SOCKET --containerd SOCKET [--turns N] [--clients N] [--lives N] [--json FILE]
#include <CLI/CLI.hpp>
#include <fstream>
#include <iostream>
#include <thread>
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
  int turns = 100;
  int clients = 1;
  int lives = 1;
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

absl::Status Compare(const Options& options) {
  Server fast("berthd", options.berthd, options.snapshotter);
  Server slow("containerd", options.containerd, options.snapshotter);
  for (Server* server : {&fast, &slow}) {
    BERTH_ASSIGN_OR_RETURN(const std::string version, server->Version());
    std::cerr << version << "\n";
    BERTH_RETURN_IF_ERROR(server->SetUp(options.busybox));
  }
  Results fast_results("berthd");
  Results slow_results("containerd");
  for (int turn = 0; turn < kWarmUpTurns + options.turns; ++turn) {
    const bool counts = turn >= kWarmUpTurns;
    Results* results[] = {counts ? &fast_results : nullptr, counts ? &slow_results : nullptr};
    Server* servers[] = {&fast, &slow};
    for (int i = 0; i < 2; ++i) {
      const int which = (i + turn) % 2;  // neither always goes first
      BERTH_RETURN_IF_ERROR(RunTurn(*servers[which], options, turn, results[which]));
    }
  }
  for (Server* server : {&fast, &slow}) BERTH_RETURN_IF_ERROR(server->TearDown());
  std::cout << TableReport(fast_results, slow_results);
  if (!options.json.empty()) {
    std::ofstream file(options.json);
    file << JsonReport(fast_results, slow_results);
    if (!file.flush()) return absl::InternalError(absl::StrCat("cannot write ", options.json));
  }
  const double ratio = TurnRatios(fast_results, slow_results).Percentile(0.5);
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
  app.add_option("--containerd", options.containerd, "containerd's socket")->required();
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
  app.add_option("--require-ratio", options.require_ratio, "Fail below this median ratio");
  app.add_option("--json", options.json, "Also write the results to this file");
  CLI11_PARSE(app, argc, argv);
  const absl::Status status = berth::bench::Compare(options);
  if (status.ok()) return 0;
  std::cerr << "compare: " << status << "\n";
  return 1;
}
