// Compares two servers of containerd's API, berthd and containerd, in turn with the same client,
// rootfs and spec.
//
//   compare --berthd SOCKET --containerd SOCKET [--sections lives,clients,...] [--turns N]
//           [--require-ratio R] [--json FILE]
//   compare --berthd SOCKET --load LIVES      only lives on berthd, for whoever watches it
//   meanwhile
//
// Ends with 1 when a target is missed; with --require-ratio only when the ratio of the whole life
// is below it.
#include <sys/utsname.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <fstream>
#include <iostream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/os/lock_checks.h"
#include "base/os/short_life.h"
#include "base/status/status_macros.h"
#include "tests/bench/container_life.h"
#include "tests/bench/report.h"
#include "tests/bench/sections.h"
#include "tests/bench/servers.h"

namespace berth::bench {
namespace {

struct Options {
  std::string berthd;
  std::string containerd;
  std::string snapshotter = "overlayfs";
  std::string group = "berth-bench";
  std::string directory = "/tmp";
  std::string json;
  FloorProgram floor;
  Adoption adoption;
  // Memory first: what a daemon holds idle is asked before it has done much.
  std::vector<std::string> sections = {"memory",  "lives",   "trace",  "clients",
                                       "records", "content", "output", "adoption"};
  Plan plan;
  int load = 0;
  double require_ratio = 0;
};

std::string GroupOf(const Options& options, absl::string_view label) {
  return absl::StrCat(options.group, "/", label);
}

absl::Status Load(const Options& options) {
  Server server("berthd", options.berthd, options.snapshotter, GroupOf(options, "berthd"));
  BERTH_RETURN_IF_ERROR(server.SetUp(options.floor.busybox));
  // The budgets of tests/bench/counts are of a life without a filter, whose text is most of a
  // record.
  ContainerOptions container{{"/bin/true"}};
  container.filter = Filter::kNone;
  for (int life = 0; life < options.load; ++life) {
    BERTH_RETURN_IF_ERROR(server.Run(absl::StrCat("load-", life), container).status());
  }
  return server.TearDown();
}

absl::Status AddHeader(Server& berthd, Server& containerd, Report* report) {
  utsname system = {};
  ::uname(&system);
  report->AddHeader("date", absl::FormatTime("%Y-%m-%d", absl::Now(), absl::UTCTimeZone()));
  report->AddHeader("machine",
                    absl::StrCat(system.sysname, " ", system.release, " ", system.machine,
                                 ", processors: ", std::thread::hardware_concurrency()));
  BERTH_ASSIGN_OR_RETURN(const std::string ours, berthd.Version());
  BERTH_ASSIGN_OR_RETURN(const std::string peers, containerd.Version());
  report->AddHeader("berthd", ours);
  report->AddHeader("peer", peers);
  return absl::OkStatus();
}

absl::Status MeasureSection(const std::string& section, const Options& options,
                            const Servers& servers, Report* report) {
  std::cerr << "measuring: " << section << "\n";
  if (section == "lives") return MeasureLives(servers, options.plan, options.floor, report);
  if (section == "trace") return MeasureTrace(servers, options.plan, report);
  if (section == "clients") return MeasureClients(servers, options.plan, report);
  if (section == "records") return MeasureRecords(servers, options.plan, report);
  if (section == "content") return MeasureContent(servers, options.plan, report);
  if (section == "output") {
    return MeasureOutput(servers, options.plan, options.directory, report);
  }
  if (section == "adoption") {
    Adoption adoption = options.adoption;
    adoption.directory = options.directory;
    adoption.snapshotter = options.snapshotter;
    adoption.group = options.group;
    adoption.busybox = options.floor.busybox;
    return MeasureAdoption(adoption, options.plan, report);
  }
  return MeasureMemory(servers, options.plan, report);
}

absl::Status WriteJson(const std::string& path, const Report& report) {
  if (path.empty()) return absl::OkStatus();
  std::ofstream file(path);
  file << report.Json();
  if (!file.flush()) return absl::InternalError(absl::StrCat("cannot write ", path));
  return absl::OkStatus();
}

absl::Status Judge(const Options& options, const Report& report) {
  if (options.require_ratio == 0) {
    const std::vector<std::string> missed = report.Missed();
    if (missed.empty()) return absl::OkStatus();
    return absl::FailedPreconditionError(absl::StrCat("missed: ", absl::StrJoin(missed, ", ")));
  }
  const Measure* life = report.Find("whole life");
  const double ratio = life == nullptr ? 0 : life->Ratio(0.5);
  if (ratio >= options.require_ratio) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("the ratio of the whole life, ", ratio, ", is below ", options.require_ratio));
}

absl::Status Compare(const Options& options) {
  Server berthd("berthd", options.berthd, options.snapshotter, GroupOf(options, "berthd"));
  Server containerd("containerd", options.containerd, options.snapshotter,
                    GroupOf(options, "containerd"));
  Report report;
  BERTH_RETURN_IF_ERROR(AddHeader(berthd, containerd, &report));
  BERTH_RETURN_IF_ERROR(berthd.SetUp(options.floor.busybox));
  BERTH_RETURN_IF_ERROR(containerd.SetUp(options.floor.busybox));
  const Servers servers(berthd, containerd);
  for (const std::string& section : options.sections) {
    BERTH_RETURN_IF_ERROR(MeasureSection(section, options, servers, &report)) << section;
  }
  BERTH_RETURN_IF_ERROR(berthd.TearDown());
  BERTH_RETURN_IF_ERROR(containerd.TearDown());
  std::cout << report.Table();
  if (const Measure* life = report.Find("whole life"); life != nullptr) {
    std::cout << absl::StrFormat("ratio of the whole life: %.1f (p10 %.1f, p90 %.1f)\n",
                                 life->Ratio(0.5), life->Ratio(0.1), life->Ratio(0.9));
  }
  BERTH_RETURN_IF_ERROR(WriteJson(options.json, report));
  return Judge(options, report);
}

}  // namespace
}  // namespace berth::bench

int main(int argc, char** argv) {
  // A client whose heap grows and shrinks with each message spends more on page faults, in some
  // runs and not in others, than a server on its answer.
  berth::PrepareShortLife();
  berth::DropLockOrderChecks();
  berth::bench::Options options;
  options.floor.busybox = "/bin/busybox";
  const std::vector<std::string> sections = options.sections;
  CLI::App app("Compares berthd with containerd through containerd's API.");
  app.add_option("--berthd", options.berthd, "berthd's socket")->required();
  app.add_option("--containerd", options.containerd, "containerd's socket");
  app.add_option("--sections", options.sections, "What to measure: " + absl::StrJoin(sections, ","))
      ->delimiter(',')
      ->check(CLI::IsMember(sections));
  app.add_option("--snapshotter", options.snapshotter, "Snapshotter on both")
      ->capture_default_str();
  app.add_option("--group", options.group, "Control groups are made below this one")
      ->capture_default_str();
  app.add_option("--directory", options.directory, "For files that containers write to")
      ->capture_default_str();
  app.add_option("--busybox", options.floor.busybox, "A static busybox")->capture_default_str();
  app.add_option("--turns", options.plan.turns, "Turns of lives and execs")
      ->capture_default_str()
      ->check(CLI::Range(1, 100000));
  app.add_option("--few-turns", options.plan.few_turns, "Turns of the other sections")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000));
  app.add_option("--execs", options.plan.execs, "Execs per turn")
      ->capture_default_str()
      ->check(CLI::Range(1, 100000));
  app.add_option("--records", options.plan.records, "Containers that are listed")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000000));
  app.add_option("--many-execs", options.plan.many_execs, "Execs before a shim is weighed again")
      ->capture_default_str()
      ->check(CLI::Range(2, 10000000));
  app.add_option("--containers", options.plan.containers, "Containers whose shims are weighed")
      ->capture_default_str()
      ->check(CLI::Range(1, 10000));
  app.add_option("--adopted", options.plan.adopted, "Numbers of containers that are adopted")
      ->delimiter(',')
      ->check(CLI::Range(1, 100000));
  app.add_option("--adopted-by-peer", options.plan.adopted_by_peer,
                 "The largest number that the peer is asked to adopt")
      ->capture_default_str()
      ->check(CLI::Range(0, 100000));
  app.add_option("--bin", options.adoption.bin,
                 "Directory with berthd, for the daemons that are killed");
  app.add_option("--containerd-bin", options.adoption.containerd_bin, "Directory with containerd")
      ->capture_default_str();
  app.add_option("--containerd-config", options.adoption.containerd_config, "Its configuration");
  app.add_option("--load", options.load, "Only run this many lives, on berthd")
      ->check(CLI::Range(1, 100000));
  app.add_option("--floor", options.floor.path,
                 "The program that measures what the kernel alone takes");
  app.add_option("--floor-root", options.floor.root, "A directory for it");
  app.add_option("--require-ratio", options.require_ratio,
                 "Judge only the whole life, by this median ratio");
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
