// How long a daemon that was killed takes, from its exec on, to its first complete Tasks.List of
// all the containers that ran on, and how much memory it holds for them.
//
//   adoption --bin DIR --dir DIR [--daemon berthd] [--containers 1000] [--runs 5]
//
// tests/bench/compare measures the same beside containerd (section `adoption`).
#include <algorithm>
#include <iostream>
#include <string>
#include <utility>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/time/time.h"
#include "base/os/lock_checks.h"
#include "base/status/status_macros.h"
#include "tests/bench/adopting_daemon.h"

namespace berth::bench {
namespace {

struct Options {
  AdoptingProgram program;
  int containers = 1000;
  int runs = 5;
};

absl::Status Run(const Options& options) {
  AdoptingDaemon daemon(options.program);
  BERTH_RETURN_IF_ERROR(daemon.Start());
  for (const int count : {0, std::min(100, options.containers), options.containers}) {
    BERTH_RETURN_IF_ERROR(daemon.GrowTo(count));
    const int64_t made_kib = daemon.ResidentKib();
    std::vector<absl::Duration> times;
    for (int run = 0; run < options.runs; ++run) {
      BERTH_ASSIGN_OR_RETURN(const absl::Duration time, daemon.Restart());
      times.push_back(time);
    }
    std::sort(times.begin(), times.end());
    std::cout << count << " containers: exec to the first complete Tasks.List p50 "
              << absl::ToInt64Milliseconds(times[times.size() / 2]) << " ms, best "
              << absl::ToInt64Milliseconds(times.front()) << " ms, worst "
              << absl::ToInt64Milliseconds(times.back()) << " ms; resident " << made_kib
              << " KiB after making them, " << daemon.ResidentKib() << " KiB after adoption"
              << std::endl;
  }
  return daemon.Stop();
}

}  // namespace
}  // namespace berth::bench

int main(int argc, char** argv) {
  berth::DropLockOrderChecks();
  berth::bench::Options options;
  berth::bench::AdoptingProgram& program = options.program;
  program.name = "berthd";
  program.label = "daemon";
  program.snapshotter = "overlayfs";
  program.group = "berth-adoption";
  CLI::App app("Times the adoption of running containers by a new daemon.");
  app.add_option("--bin", program.bin, "Directory of the daemon's programs")->required();
  app.add_option("--dir", program.directory, "A directory of its own")->required();
  app.add_option("--daemon", program.name, "berthd or containerd");
  app.add_option("--busybox", program.busybox, "A static busybox");
  app.add_option("--containers", options.containers, "How many");
  app.add_option("--runs", options.runs, "Restarts for each number")->check(CLI::Range(1, 1000));
  CLI11_PARSE(app, argc, argv);
  const absl::Status status = berth::bench::Run(options);
  if (status.ok()) return 0;
  std::cerr << "adoption: " << status.message() << std::endl;
  return 1;
}
