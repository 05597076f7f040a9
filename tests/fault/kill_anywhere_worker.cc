// Kills berthd or a shim at a random system call of what a client does, lets the daemon reconcile,
// and checks that nothing is leaked, lost or wrong. One worker; tests/fault/kill_anywhere runs
// several.
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <functional>
#include <iostream>
#include <limits>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <thread>

#include "CLI/CLI.hpp"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "base/os/fd_factories.h"
#include "base/os/spawn.h"
#include "base/status/status_macros.h"
#include "tests/fault/fault_client.h"
#include "tests/fault/host_footprint.h"
#include "tests/fault/scenario.h"
#include "tests/fault/syscall_tracer.h"

namespace berth::fault {
namespace {

constexpr absl::Duration kStartPatience = absl::Seconds(30);
constexpr absl::Duration kWorkPatience = absl::Minutes(3);
constexpr absl::Duration kSettlePatience = absl::Seconds(15);
constexpr uint64_t kFirstGuess = 600;  // stops of a scenario whose number is not known yet

struct Options {
  std::string bin, payload, directory;
  uint64_t seed = 0;
  int kills = 100;
  int only = -1;  // the number of the one kill to repeat
};

struct Report {
  int kills = 0;
  std::map<std::string, int> victims;
  std::set<std::string> points;  // victim, step and system call
  // How many stops a whole scenario has, by kind and victim: what random numbers are drawn from.
  std::map<std::string, uint64_t> stops;
  Findings all;
};

const char* NameOf(Target target) { return target == Target::kShim ? "shim" : "berthd"; }

std::string StopsOf(const Scenario& scenario, Target target) {
  return absl::StrCat(scenario.kind(), " ", NameOf(target));
}

class Harness {
 public:
  explicit Harness(Options options) : options_(std::move(options)) {
    place_.directory = options_.directory;
    place_.ns = absl::StrCat("fault", options_.seed, "p", ::getpid());
  }
  absl::Status Run();
  const Report& report() const { return report_; }

 private:
  absl::Status SetUp();
  absl::Status MakeBase();
  using Make = std::unique_ptr<Scenario> (*)(std::string id, std::mt19937_64& random);
  absl::Status Measure(Make make, Target target);
  absl::Status StartDaemon(std::mt19937_64& random, std::string& recovery_point);
  absl::Status WaitUntilAnswered();
  absl::Status SpawnDaemon();
  absl::Status KillOnce(int number);
  void KillNow(Target target, std::mt19937_64& random, Victims& victims, bool& at_a_point);
  absl::Status CheckNothingIsLeft(Findings& findings);
  absl::Status Work(const std::function<void()>& work);
  void Note(int number, const Scenario& scenario, const std::string& what,
            const Findings& findings);

  const Options options_;
  Place place_;
  SyscallTracer tracer_;
  pid_t daemon_ = -1;
  EventHistory history_;
  std::unique_ptr<FaultClient> client_;
  std::set<std::string> base_;
  Report report_;
};

absl::Status Harness::SpawnDaemon() {
  BERTH_ASSIGN_OR_RETURN(const UniqueFd log, OpenFile(place_.directory + "/daemon.log",
                                                      O_WRONLY | O_CREAT | O_APPEND, 0644));
  SpawnOptions spawn;
  spawn.executable = options_.bin + "/berthd";
  spawn.arguments = {"berthd",
                     "--root",
                     place_.directory + "/root",
                     "--state",
                     place_.directory + "/state",
                     "--address",
                     place_.directory + "/state/berth.sock"};
  spawn.environment = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin"};
  spawn.descriptors = {{2, log.get()}};
  BERTH_ASSIGN_OR_RETURN(ChildProcess child, Spawn(spawn));
  daemon_ = child.pid();
  (void)child.Detach();  // the tracer reaps it
  return tracer_.Follow(daemon_);
}

// Starts the daemon; now and then it is killed while it recovers, and started again.
absl::Status Harness::StartDaemon(std::mt19937_64& random, std::string& recovery_point) {
  uint64_t& guess = report_.stops.emplace("start", kFirstGuess).first->second;
  const bool kill = random() % 6 == 0;
  const std::string socket = place_.directory + "/state/berth.sock";
  for (int attempt = 0; attempt < 2; ++attempt) {
    BERTH_RETURN_IF_ERROR(SpawnDaemon());
    if (kill && attempt == 0) tracer_.Arm(Target::kDaemon, 1 + random() % guess);
    const bool over = tracer_.Pump(
        [&] { return !tracer_.alive(daemon_) || ConnectUnix(socket, SOCK_NONBLOCK).ok(); },
        kStartPatience);
    const bool alive = tracer_.alive(daemon_);
    if (kill && attempt == 0) {
      if (!tracer_.fired()) guess = std::max<uint64_t>(100, tracer_.stops());
      if (!over) return absl::DeadlineExceededError("berthd does not begin to serve");
      if (tracer_.fired()) {
        recovery_point = absl::StrCat("start:", tracer_.point());
        ++report_.kills;
        ++report_.victims["berthd in recovery"];
        report_.points.insert(absl::StrCat("berthd:", recovery_point));
        tracer_.Kill(daemon_);
        continue;
      }
      tracer_.Disarm();
    }
    if (!over || !alive) {
      return absl::InternalError(
          absl::StrCat("berthd does not start: see ", place_.directory, "/daemon.log"));
    }
    client_.reset();  // its listener has noted how far it came
    client_ = std::make_unique<FaultClient>(socket, place_.ns, history_);
    return WaitUntilAnswered();
  }
  return absl::OkStatus();
}

// A channel whose first connection fails does not try again for a second, and fails every call
// meanwhile: that is no finding.
absl::Status Harness::WaitUntilAnswered() {
  const absl::Time deadline = absl::Now() + kStartPatience;
  while (true) {
    absl::Status answered;
    BERTH_RETURN_IF_ERROR(Work([&] { answered = client_->Names().status(); }));
    if (!absl::IsUnavailable(answered) || absl::Now() > deadline) return answered;
    tracer_.Pump([] { return false; }, absl::Milliseconds(20));
  }
}

// A client's work, while this thread handles what the traced processes do.
absl::Status Harness::Work(const std::function<void()>& work) {
  std::atomic<bool> done{false};
  std::thread thread([&] {
    work();
    done.store(true);
  });
  const bool over = tracer_.Pump([&] { return done.load(); }, kWorkPatience);
  if (!over) {
    // Every call has a deadline, so that this ends.
    tracer_.Pump([&] { return done.load(); }, absl::InfiniteDuration());
  }
  thread.join();
  return over ? absl::OkStatus() : absl::DeadlineExceededError("a scenario takes minutes");
}

// The committed snapshot with the one program that containers run.
absl::Status Harness::MakeBase() {
  namespaces::CreateNamespaceRequest ns;
  ns.mutable_namespace_()->set_name(place_.ns);
  namespaces::CreateNamespaceResponse made;
  BERTH_RETURN_IF_ERROR(
      client_->Call(client_->namespaces_stub, &namespaces::Namespaces::Stub::Create, ns, &made));
  snapshots::PrepareSnapshotRequest prepare;
  prepare.set_snapshotter(kSnapshotter);
  prepare.set_key("fault-unpack");
  (*prepare.mutable_labels())["containerd.io/gc.root"] = "2020-01-01T00:00:00Z";
  snapshots::PrepareSnapshotResponse prepared;
  BERTH_RETURN_IF_ERROR(client_->Call(client_->snapshots_stub, &snapshots::Snapshots::Stub::Prepare,
                                      prepare, &prepared));
  const std::filesystem::path root = prepared.mounts(0).source();
  std::error_code error;
  for (const char* directory : {"proc", "sys", "dev", "run", "tmp", "etc"}) {
    std::filesystem::create_directory(root / directory, error);
  }
  std::filesystem::copy_file(options_.payload, root / "payload", error);
  if (error) return absl::InternalError(absl::StrCat(options_.payload, ": ", error.message()));
  snapshots::CommitSnapshotRequest commit;
  commit.set_snapshotter(kSnapshotter);
  commit.set_key("fault-unpack");
  commit.set_name(kBase);
  *commit.mutable_labels() = prepare.labels();
  google::protobuf::Empty empty;
  return client_->Call(client_->snapshots_stub, &snapshots::Snapshots::Stub::Commit, commit,
                       &empty);
}

// One undisturbed, for the number of its stops; what it leaves for good (directories) is no leak.
absl::Status Harness::Measure(Make make, Target target) {
  std::mt19937_64 random(1);
  const auto scenario = make("warm-up", random);
  tracer_.Arm(target, std::numeric_limits<uint64_t>::max());
  absl::Status status;
  BERTH_RETURN_IF_ERROR(Work([&] {
    status = scenario->Run(*client_);
    scenario->Settle();
  }));
  BERTH_RETURN_IF_ERROR(status) << "undisturbed " << scenario->kind() << ", at "
                                << scenario->under_way();
  report_.stops[StopsOf(*scenario, target)] = tracer_.stops();
  tracer_.Disarm();
  return absl::OkStatus();
}

absl::Status Harness::SetUp() {
  std::error_code error;
  std::filesystem::create_directories(place_.directory, error);
  std::mt19937_64 random(1);  // no kill at the first start
  std::string none;
  BERTH_RETURN_IF_ERROR(StartDaemon(random, none));
  absl::Status status;
  BERTH_RETURN_IF_ERROR(Work([&] { status = MakeBase(); }));
  BERTH_RETURN_IF_ERROR(status) << "before the first kill";
  BERTH_RETURN_IF_ERROR(Measure(MakeLifeScenario, Target::kDaemon));
  BERTH_RETURN_IF_ERROR(Measure(MakeLifeScenario, Target::kShim));
  BERTH_RETURN_IF_ERROR(Measure(MakeImageScenario, Target::kDaemon));
  BERTH_RETURN_IF_ERROR(Measure(MakeCommitScenario, Target::kDaemon));
  // At rest once two looks agree and no worker is left.
  std::set<std::string> last;
  tracer_.Pump(
      [&] {
        base_ = TakeFootprint(place_, daemon_, {});
        const bool removing = std::any_of(base_.begin(), base_.end(), [](const std::string& word) {
          return absl::StrContains(word, "/removed/");
        });
        const bool same = base_ == last && !removing;
        last = base_;
        return same;
      },
      kSettlePatience);
  absl::StatusOr<std::vector<std::string>> names;
  BERTH_RETURN_IF_ERROR(Work([&] { names = client_->Names(); }));
  BERTH_RETURN_IF_ERROR(names.status());
  base_ = TakeFootprint(place_, daemon_, *names);
  return absl::OkStatus();
}

absl::Status Harness::CheckNothingIsLeft(Findings& findings) {
  const absl::Time deadline = absl::Now() + kSettlePatience;
  std::set<std::string> now;
  std::vector<std::string> more, less;
  while (true) {
    absl::StatusOr<std::vector<std::string>> names;
    BERTH_RETURN_IF_ERROR(Work([&] { names = client_->Names(); }));
    BERTH_RETURN_IF_ERROR(names.status()) << "list what is there";
    now = TakeFootprint(place_, daemon_, *names);
    more.clear();
    less.clear();
    std::set_difference(now.begin(), now.end(), base_.begin(), base_.end(),
                        std::back_inserter(more));
    std::set_difference(base_.begin(), base_.end(), now.begin(), now.end(),
                        std::back_inserter(less));
    if (more.empty() && less.empty()) return absl::OkStatus();
    if (absl::Now() > deadline) break;
    tracer_.Pump([] { return false; }, absl::Milliseconds(20));
  }
  for (const std::string& word : more) findings.leaks.push_back(word);
  for (const std::string& word : less) findings.lost_objects.push_back(word);
  base_ = now;  // told once
  return absl::OkStatus();
}

void Harness::Note(int number, const Scenario& scenario, const std::string& what,
                   const Findings& findings) {
  if (findings.count() == 0) return;
  std::cout << "kill " << number << " (" << scenario.kind() << " " << scenario.id() << ", " << what
            << "):" << std::endl;
  const auto tell = [](const char* kind, const std::vector<std::string>& lines,
                       std::vector<std::string>& all) {
    for (const std::string& line : lines) {
      std::cout << "  " << kind << ": " << line << std::endl;
      all.push_back(line);
    }
  };
  tell("leak", findings.leaks, report_.all.leaks);
  tell("lost exit", findings.lost_exits, report_.all.lost_exits);
  tell("wrong status", findings.wrong_statuses, report_.all.wrong_statuses);
  tell("lost object", findings.lost_objects, report_.all.lost_objects);
}

// Kills what the tracer has not killed, and beside a shim its daemon now and then.
void Harness::KillNow(Target target, std::mt19937_64& random, Victims& victims, bool& at_a_point) {
  at_a_point = tracer_.fired();
  victims.daemon = target == Target::kDaemon;
  victims.shim = target == Target::kShim && at_a_point;
  if (target == Target::kShim && (!at_a_point || random() % 4 == 0)) victims.daemon = true;
  tracer_.Disarm();
  if (victims.daemon) tracer_.Kill(daemon_);
}

absl::Status Harness::KillOnce(int number) {
  std::mt19937_64 random(options_.seed * 1'000'003 + static_cast<uint64_t>(number));
  const std::string id = absl::StrCat("k", number);
  const uint64_t what = random() % 10;
  const auto scenario = what < 6   ? MakeLifeScenario(id, random)
                        : what < 8 ? MakeImageScenario(id, random)
                                   : MakeCommitScenario(id, random);
  const Target target = what < 6 && random() % 2 == 0 ? Target::kShim : Target::kDaemon;
  uint64_t& guess = report_.stops.at(StopsOf(*scenario, target));
  tracer_.Arm(target, 1 + random() % guess);
  std::string step;
  absl::Status ran;
  BERTH_RETURN_IF_ERROR(Work([&] { ran = scenario->Run(*client_); }));
  step = scenario->under_way();
  if (!tracer_.fired()) guess = (guess + tracer_.stops()) / 2 + 1;

  Victims victims;
  bool at_a_point = false;
  const std::string point = tracer_.fired() ? tracer_.point() : "at the end";
  Findings findings;
  if (!tracer_.fired() && !ran.ok()) {
    findings.lost_objects.push_back(
        absl::StrCat("undisturbed, fails at ", step, ": ", ran.message()));
  }
  KillNow(target, random, victims, at_a_point);
  BERTH_RETURN_IF_ERROR(Work([&] { scenario->Settle(); }));
  ++report_.kills;
  ++report_.victims[victims.daemon && victims.shim ? "both" : victims.shim ? "shim" : "berthd"];
  report_.points.insert(absl::StrCat(NameOf(target), ":", step, ":", point));

  std::string what_happened = absl::StrCat(victims.daemon ? "berthd" : "",
                                           victims.shim ? " shim" : "", " at ", step, ":", point);
  if (victims.daemon) {
    std::string recovery_point;
    BERTH_RETURN_IF_ERROR(StartDaemon(random, recovery_point))
        << "kill " << number << ", " << what_happened;
    if (!recovery_point.empty()) absl::StrAppend(&what_happened, ", then at ", recovery_point);
  }
  BERTH_RETURN_IF_ERROR(Work([&] { scenario->Verify(*client_, victims, findings); }))
      << "kill " << number << ", " << what_happened;
  for (const std::string& gap : history_.TakeGaps()) findings.lost_exits.push_back(gap);
  BERTH_RETURN_IF_ERROR(CheckNothingIsLeft(findings)) << "kill " << number << ", " << what_happened;
  Note(number, *scenario, what_happened, findings);
  return absl::OkStatus();
}

absl::Status Harness::Run() {
  sigset_t child;
  ::sigemptyset(&child);
  ::sigaddset(&child, SIGCHLD);
  ::sigprocmask(SIG_BLOCK, &child, nullptr);
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  BERTH_RETURN_IF_ERROR(SetUp());
  for (int number = 0; report_.kills < options_.kills; ++number) {
    if (options_.only >= 0 && number > options_.only) break;
    if (options_.only >= 0 && number < options_.only) continue;
    BERTH_RETURN_IF_ERROR(KillOnce(number));
  }
  client_.reset();
  tracer_.Kill(daemon_);
  for (const pid_t shim : tracer_.Shims()) tracer_.Kill(shim);
  return absl::OkStatus();
}

void Print(const Report& report, const Options& options, absl::Duration took) {
  std::cout << "seed " << options.seed << ": " << report.kills << " kills";
  for (const auto& [victim, count] : report.victims) std::cout << ", " << victim << " " << count;
  std::cout << "; " << report.points.size() << " points; leaks " << report.all.leaks.size()
            << ", lost exits " << report.all.lost_exits.size() << ", wrong statuses "
            << report.all.wrong_statuses.size() << ", lost objects "
            << report.all.lost_objects.size() << "; " << absl::ToInt64Seconds(took) << " s"
            << std::endl;
  for (const auto& [kind, stops] : report.stops) {
    std::cout << "stops of " << kind << ": " << stops << "\n";
  }
  for (const std::string& point : report.points) std::cout << "point " << point << "\n";
}

}  // namespace
}  // namespace berth::fault

int main(int argc, char** argv) {
  berth::fault::Options options;
  CLI::App app("Kills berthd and shims at random system calls and checks what is left.");
  app.add_option("--bin", options.bin, "Directory with berthd, berth-shim, berth-worker")
      ->required();
  app.add_option("--payload", options.payload, "The static program for containers")->required();
  app.add_option("--dir", options.directory, "A directory of its own")->required();
  app.add_option("--seed", options.seed, "Decides everything that is random");
  app.add_option("--kills", options.kills, "How many");
  app.add_option("--only", options.only, "Repeat the kill of this number alone");
  CLI11_PARSE(app, argc, argv);
  const absl::Time begin = absl::Now();
  berth::fault::Harness harness(options);
  const absl::Status status = harness.Run();
  berth::fault::Print(harness.report(), options, absl::Now() - begin);
  if (!status.ok()) std::cerr << "kill_anywhere: " << status.message() << std::endl;
  return status.ok() && harness.report().all.count() == 0 ? 0 : 1;
}
