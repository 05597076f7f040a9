// What the bench measures, a function for each group of measures. Each adds its measures to the
// report and leaves nothing on the servers.
#ifndef BERTH_TESTS_BENCH_SECTIONS_H_
#define BERTH_TESTS_BENCH_SECTIONS_H_

#include <string>

#include "absl/status/status.h"
#include "tests/bench/report.h"
#include "tests/bench/servers.h"

namespace berth::bench {

// The program //tests/bench:floor; empty: what is said of the floor is not measured.
struct FloorProgram {
  std::string path;
  std::string root;
  std::string busybox;
};

// Daemons that may be killed. `bin` empty: adoption is not measured.
struct Adoption {
  std::string bin;  // with berthd and its programs
  std::string containerd_bin = "/usr/bin";
  std::string containerd_config;
  std::string directory;
  std::string snapshotter;
  std::string group;
  std::string busybox;
};

// The whole life and its steps; without a network namespace; execs; all beside the floor.
absl::Status MeasureLives(const Servers& servers, const Plan& plan, const FloorProgram& floor,
                          Report* report);
// Where the time of a life goes, by the records of berthd and its shims: no peer has such.
absl::Status MeasureTrace(const Servers& servers, const Plan& plan, Report* report);
// Lives per second with several clients, and the processor time of a life.
absl::Status MeasureClients(const Servers& servers, const Plan& plan, Report* report);
// List, Get and events with many containers on record.
absl::Status MeasureRecords(const Servers& servers, const Plan& plan, Report* report);
// Content.Write and Content.Read.
absl::Status MeasureContent(const Servers& servers, const Plan& plan, Report* report);
// What a container can write to a FIFO, a file and a log. `directory` is for these.
absl::Status MeasureOutput(const Servers& servers, const Plan& plan, const std::string& directory,
                           Report* report);
// Daemons and shims: with one container, with many, after many execs.
absl::Status MeasureMemory(const Servers& servers, const Plan& plan, Report* report);
// From the exec of a daemon to its first list of all the containers that outlived the one before.
absl::Status MeasureAdoption(const Adoption& adoption, const Plan& plan, Report* report);

}  // namespace berth::bench

#endif  // BERTH_TESTS_BENCH_SECTIONS_H_
