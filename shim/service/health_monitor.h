// The health of one generation of a container: a command that is run in it again and again, by
// Docker's rules.
//
// Invariant: at most one check runs at a time; each ends by itself or is killed at its timeout, and
// is reaped in any case. A check that fails within start_period, before the first success, does not
// count; `retries` that count in a row mean unhealthy, one success means healthy. While the
// container cannot run a command (paused) nothing is checked. Loop-only. Owned by a LiveTask.
#ifndef BERTH_SHIM_SERVICE_HEALTH_MONITOR_H_
#define BERTH_SHIM_SERVICE_HEALTH_MONITOR_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/loop/loop.h"
#include "base/os/unique_fd.h"
#include "proto/berth/shim/v1/supervisor.pb.h"
#include "shim/launch/container.h"
#include "shim/service/process_watch.h"

namespace berth::handover {
class Packer;
class Unpacker;
}  // namespace berth::handover
namespace berth::shim::v1 {
class HealthState;
}  // namespace berth::shim::v1

namespace berth::service {

// What the exec ids of checks begin with; clients may not use it.
inline constexpr char kHealthPrefix[] = "berth-health-";

struct HealthCheck {
  std::string process_json;
  absl::Duration interval = absl::Seconds(30);
  absl::Duration timeout = absl::Seconds(30);
  absl::Duration start_period = absl::ZeroDuration();
  absl::Duration start_interval = absl::Seconds(5);
  uint32_t retries = 3;
  friend bool operator==(const HealthCheck&, const HealthCheck&) = default;
};

class HealthMonitor {
 public:
  static constexpr size_t kMaxResults = 5;
  static constexpr size_t kMaxOutputBytes = 4096;
  using Status = berth::shim::v1::Health::Status;
  using Exec = absl::AnyInvocable<void(launch::ExecOptions, launch::Container::ExecDone)>;
  using OnChange = absl::AnyInvocable<void(Status)>;

  // The container has just been started. `exec` answers from the loop; `on_change` runs from the
  // loop.
  HealthMonitor(Loop& loop, HealthCheck check, Exec exec, OnChange on_change);
  ~HealthMonitor();
  HealthMonitor(const HealthMonitor&) = delete;
  HealthMonitor& operator=(const HealthMonitor&) = delete;

  // For the program that this one becomes, and in it: a check that runs goes on.
  void Save(handover::Packer& packer, berth::shim::v1::HealthState& state) const;
  static absl::StatusOr<std::unique_ptr<HealthMonitor>> Resume(
      Loop& loop, HealthCheck check, const berth::shim::v1::HealthState& state,
      handover::Unpacker& unpacker, Exec exec, OnChange on_change);

  const HealthCheck& check() const { return check_; }
  // The container has ended: what is known stays.
  void Stop();
  void Fill(berth::shim::v1::Health& health) const;

 private:
  struct Result {
    absl::Time start;
    absl::Time end;
    int32_t exit_code = 0;
    std::string output;
  };
  // One check that runs; owned by its own watch until it is reaped.
  struct Probe {
    absl::Time start;
    UniqueFd output;
    UniqueFd pidfd;
    std::string text;
    bool timed_out = false;
    std::unique_ptr<ProcessWatch> watch;
    FdWatch output_watch;
  };
  using ProbePtr = std::shared_ptr<Probe>;

  HealthMonitor(Loop& loop, HealthCheck check, absl::Time began, Exec exec, OnChange on_change);
  absl::Status ResumeProbe(const berth::shim::v1::HealthState& state, handover::Unpacker& unpacker);
  absl::Status Watch(const ProbePtr& probe);
  void LimitProbe(absl::Duration limit);
  void Schedule();
  void Begin();
  void Started(const ProbePtr& probe, absl::StatusOr<launch::ExecProcess> process);
  static void ReadOutput(Probe& probe);
  static void KillProbe(const Probe& probe);
  void Ended(const ProbePtr& probe, uint32_t status);
  void Record(Result result);

  Loop& loop_;
  const HealthCheck check_;
  Exec exec_;
  OnChange on_change_;
  const absl::Time began_;
  Status status_;
  uint32_t failing_streak_ = 0;
  uint64_t number_ = 0;
  std::deque<Result> results_;
  std::weak_ptr<Probe> running_;
  bool stopped_ = false;
  TimerId timer_ = TimerId::kNone;
  TimerId timeout_timer_ = TimerId::kNone;
  // Probes that outlive the monitor hold a weak reference.
  std::shared_ptr<HealthMonitor*> self_ = std::make_shared<HealthMonitor*>(this);
};

}  // namespace berth::service

#endif  // BERTH_SHIM_SERVICE_HEALTH_MONITOR_H_
