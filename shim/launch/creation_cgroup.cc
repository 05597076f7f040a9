// The part of a create that is about its control group: made by ourselves or by systemd, or done
// without.
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/status/status_macros.h"
#include "shim/cgroup/limits.h"
#include "shim/cgroup/systemd_scope.h"
#include "shim/launch/creation.h"
#include "shim/launch/rootless.h"

namespace berth::launch {
namespace {

constexpr absl::Duration kSystemdPatience = absl::Seconds(30);

}  // namespace

// Root of the host has the system's; anybody else has one of his own at the most.
cgroup::SystemdManager Creation::Manager() const {
  return options_.authority == Authority::kHost ? cgroup::SystemdManager::kSystem
                                                : cgroup::SystemdManager::kUser;
}

// Whether init is in its group of version 2 before it joins the others: born there, or put there by
// systemd.
bool Creation::IsInUnified() const {
  if (may_go_without_cgroup_) return false;
  return unified_only_ || (options_.authority == Authority::kHost && !unit_);
}

// A directory that is there already may be another's: it is named when it has proved unused.
absl::Status Creation::AnnounceCgroup() {
  if (!options_.on_cgroup) return absl::OkStatus();
  for (const cgroup::Hierarchy& hierarchy : hierarchies_) {
    std::string path = cgroup::ContainerDirectory(hierarchy, cgroups_path_, state_.id);
    if (::access(path.c_str(), F_OK) != 0) absent_groups_.push_back(std::move(path));
  }
  return options_.on_cgroup(absent_groups_);
}

absl::Status Creation::MakeBirthplace() {
  BERTH_RETURN_IF_ERROR(AnnounceCgroup());
  BERTH_RETURN_IF_ERROR(NewCgroup(Version::kTwo, cgroup::Cgroup::Occupied::kRefuse));
  std::vector<std::string> named = absent_groups_;
  for (const std::string& path : state_.cgroup.paths()) {
    if (std::find(named.begin(), named.end(), path) == named.end()) named.push_back(path);
  }
  if (named.size() == absent_groups_.size() || !options_.on_cgroup) return absl::OkStatus();
  return options_.on_cgroup(named);
}

absl::Status Creation::NewCgroup(Version version, cgroup::Cgroup::Occupied occupied) {
  std::vector<cgroup::Hierarchy> hierarchies;
  for (const cgroup::Hierarchy& hierarchy : hierarchies_) {
    if (hierarchy.unified == (version == Version::kTwo)) hierarchies.push_back(hierarchy);
  }
  BERTH_ASSIGN_OR_RETURN(cgroup::Cgroup made,
                         cgroup::Cgroup::Create(hierarchies, cgroups_path_, state_.id, occupied));
  state_.cgroup.Append(std::move(made));
  return absl::OkStatus();
}

// Before anything else depends on it, for whether there will be a group decides what the container
// sees. A path that the specification names must be there.
absl::Status Creation::TryCgroup() {
  may_go_without_cgroup_ = true;
  wants_no_limits_ = cgroup::IsWithoutLimits(plan_->resources);
  BERTH_RETURN_IF_ERROR(AnnounceCgroup());
  BERTH_ASSIGN_OR_RETURN(
      state_.cgroup,
      cgroup::Cgroup::Create(
          hierarchies_, cgroups_path_, state_.id, cgroup::Cgroup::Occupied::kRefuse,
          cgroups_path_.empty() ? cgroup::Cgroup::Denied::kSkip : cgroup::Cgroup::Denied::kFail),
      _ << "$.linux.cgroupsPath");
  return options_.on_cgroup ? options_.on_cgroup(state_.cgroup.paths()) : absl::OkStatus();
}

absl::Status Creation::MakeCgroup(cgroup::Cgroup::Occupied occupied) {
  if (!may_go_without_cgroup_) {
    if (!unit_ && !IsInUnified()) {
      BERTH_RETURN_IF_ERROR(AnnounceCgroup());
    }
    if (state_.cgroup.empty()) {
      BERTH_RETURN_IF_ERROR(NewCgroup(Version::kTwo, occupied));
    }
    BERTH_RETURN_IF_ERROR(NewCgroup(Version::kOne, occupied));
    if (options_.on_cgroup) {
      BERTH_RETURN_IF_ERROR(options_.on_cgroup(state_.cgroup.paths()));
    }
  }
  if (may_go_without_cgroup_ && state_.cgroup.paths().size() < hierarchies_.size()) {
    BERTH_RETURN_IF_ERROR(state_.cgroup.Apply(resources_))
        << "this user may not make a cgroup in every hierarchy, and $.linux.resources asks for a "
           "limit";
    if (state_.cgroup.empty() && !cgroup::IsWithoutLimits(resources_)) {
      return absl::PermissionDeniedError(
          "$.linux.resources asks for limits, but this user may not make a cgroup in any "
          "hierarchy: leave them out, or delegate a cgroup to the user (with systemd, "
          "--systemd-cgroup in a session of the user's)");
    }
  } else {
    BERTH_RETURN_IF_ERROR(state_.cgroup.Apply(resources_));
  }
  resources_ = spec::Resources();
  // What an ordinary user makes is his already.
  if (unified_only_ && delegate_to_.value_or(0) != 0 && options_.authority == Authority::kHost) {
    BERTH_RETURN_IF_ERROR(state_.cgroup.Delegate(*delegate_to_));
  }
  Note("make the cgroup");
  return absl::OkStatus();
}

// systemd makes the group around init, then the rest is as with groups of our own.
absl::Status Creation::StartScope() {
  BERTH_RETURN_IF_ERROR(AnnounceCgroup());
  cgroup::ScopeRequest request;
  request.manager = Manager();
  request.unit = *unit_;
  request.description = absl::StrCat("Berth container ", state_.id);
  request.pid = state_.init_pid;
  request.limits = cgroup::ScopeLimits(resources_);
  return scope_.Start([&] { return cgroup::StartScope(request, absl::Now() + kSystemdPatience); },
                      [this](absl::Status status) { OnScope(std::move(status)); });
}

void Creation::OnScope(absl::Status status) {
  if (failing_) return;
  Note("start the scope");
  if (status.ok()) status = MakeCgroup(cgroup::Cgroup::Occupied::kAccept);
  if (status.ok()) status = PlaceInCgroup();
  if (!status.ok()) Fail(std::move(status));
}

// Init moves itself where it can: only those who are not root of the host are moved by us.
absl::Status Creation::EnterGroups() {
  using Placement = cgroup::Cgroup::Placement;
  const bool moves_itself = JoinsByItself(state_);
  if (moves_itself) {
    BERTH_ASSIGN_OR_RETURN(join_files_, state_.cgroup.OpenJoinFiles());
  }
  if (IsInUnified() && (moves_itself || unified_only_)) return absl::OkStatus();
  return state_.cgroup.AddProcess(state_.init_pid,
                                  moves_itself ? Placement::kUnified : Placement::kEverywhere);
}

absl::Status Creation::JoinCgroup() {
  absl::Status status = EnterGroups();
  if (status.ok() || !may_go_without_cgroup_ || !cgroups_path_.empty() || !IsDenied(status) ||
      !wants_no_limits_) {
    return status;
  }
  state_.warnings.push_back(absl::StrCat("the container has no cgroup: ", status.message()));
  // What is left of it holds nobody.
  state_.cgroup.Remove().IgnoreError();
  state_.cgroup = cgroup::Cgroup();
  return absl::OkStatus();
}

absl::Status Creation::PlaceInCgroup() {
  BERTH_RETURN_IF_ERROR(JoinCgroup());
  if (oom_score_) {
    BERTH_RETURN_IF_ERROR(
        SetOomScore(state_.init_pid, *oom_score_, state_.oom_score_policy, state_.warnings));
  }
  BERTH_RETURN_IF_ERROR(JoinIntelRdt(state_));
  may_join_ = true;
  SendJoinWhenReady();
  return absl::OkStatus();
}

}  // namespace berth::launch
