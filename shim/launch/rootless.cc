#include "shim/launch/rootless.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/os/file_io.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"
#include "shim/launch/container_state.h"

namespace berth::launch {
namespace {

constexpr char kOwnScore[] = "/proc/self/oom_score_adj";

bool Maps(const std::vector<spec::IdMapping>& mappings, uint32_t id) {
  for (const spec::IdMapping& mapping : mappings) {
    if (id >= mapping.container_id && id - mapping.container_id < mapping.size) return true;
  }
  return false;
}

// A filesystem refuses an owner that the namespace does not know, without saying which option.
absl::Status CheckOwners(const spec::LaunchPlan& plan, size_t index) {
  for (absl::string_view option : plan.mounts[index].data) {
    absl::string_view value = option;
    const bool group = absl::ConsumePrefix(&value, "gid=");
    if (!group && !absl::ConsumePrefix(&value, "uid=")) continue;
    uint32_t id = 0;
    if (!absl::SimpleAtoi(value, &id) || Maps(group ? plan.gid_mappings : plan.uid_mappings, id)) {
      continue;
    }
    return absl::InvalidArgumentError(absl::StrCat("config.json: $.mounts[", index, "].options: \"",
                                                   option, "\": no $.linux.", group ? "gid" : "uid",
                                                   "Mappings holds it; leave it out, or map it"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckRootless(const spec::LaunchPlan& plan) {
  if (plan.FindNamespace(CLONE_NEWUSER) == nullptr) {
    return absl::InvalidArgumentError(
        "config.json: $.linux.namespaces: rootless containers require user namespaces; `spec "
        "--rootless` writes a specification with one, or run this as root");
  }
  const bool own = plan.NewNamespace(CLONE_NEWUSER);
  for (const auto& [name, mappings] :
       {std::pair("uid", &plan.uid_mappings), std::pair("gid", &plan.gid_mappings)}) {
    if (!own || !mappings->empty()) continue;
    return absl::InvalidArgumentError(absl::StrCat("config.json: $.linux.", name,
                                                   "Mappings: rootless containers require at "
                                                   "least one ",
                                                   name, " mapping"));
  }
  for (size_t i = 0; i < plan.mounts.size(); ++i) {
    if (plan.mounts[i].id_map != spec::IdMapScope::kNone) {
      return absl::InvalidArgumentError(absl::StrCat(
          "config.json: $.mounts[", i, "]: an id-mapped mount takes root on this host"));
    }
    if (own) {
      BERTH_RETURN_IF_ERROR(CheckOwners(plan, i));
    }
  }
  return absl::OkStatus();
}

bool IsDenied(const absl::Status& status) {
  const int error = ErrnoOf(status);
  return error == EACCES || error == EPERM || error == EROFS;
}

DumpableMoment::DumpableMoment() { ::prctl(PR_SET_DUMPABLE, 1, 0, 0, 0); }
DumpableMoment::~DumpableMoment() { ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); }

OomScoreMoment::OomScoreMoment(int score, OomScorePolicy policy,
                               std::vector<std::string>& warnings) {
  const DumpableMoment dumpable;
  before_ = ReadFile(kOwnScore).value_or("");
  status_ = SetOomScore(::getpid(), score, policy, warnings);
}

OomScoreMoment::~OomScoreMoment() {
  if (before_.empty()) return;
  const DumpableMoment dumpable;
  // Back to what this process was born with, which the kernel always allows.
  WriteControlFileAt(BorrowedFd(AT_FDCWD), kOwnScore, before_).IgnoreError();
}

}  // namespace berth::launch
