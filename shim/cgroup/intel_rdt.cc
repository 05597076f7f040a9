#include "shim/cgroup/intel_rdt.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/os/file_io.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"

namespace berth::cgroup {
namespace {

const BorrowedFd kByPath(AT_FDCWD);

// The lines that l3CacheSchema and memBwSchema mean together: a bandwidth line of the former gives
// way to the latter.
std::vector<std::string> CombinedSchemas(const spec::IntelRdt& plan) {
  std::vector<std::string> lines;
  for (absl::string_view line : absl::StrSplit(plan.l3_cache_schema, '\n', absl::SkipEmpty())) {
    if (!plan.memory_bandwidth_schema.empty() && absl::StartsWith(line, "MB:")) continue;
    lines.emplace_back(line);
  }
  if (!plan.memory_bandwidth_schema.empty()) lines.push_back(plan.memory_bandwidth_schema);
  return lines;
}

// "L3:0=0f;1=ff" as {"L3:0" -> "f", "L3:1" -> "ff"}: the kernel pads names and masks.
std::map<std::string, std::string> Shares(absl::string_view text) {
  std::map<std::string, std::string> shares;
  for (absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    const std::pair<absl::string_view, absl::string_view> parts =
        absl::StrSplit(line, absl::MaxSplits(':', 1));
    const absl::string_view resource = absl::StripAsciiWhitespace(parts.first);
    for (absl::string_view share : absl::StrSplit(parts.second, ';', absl::SkipEmpty())) {
      const std::pair<absl::string_view, absl::string_view> pair =
          absl::StrSplit(share, absl::MaxSplits('=', 1));
      absl::string_view value = absl::StripAsciiWhitespace(pair.second);
      while (value.size() > 1 && value[0] == '0') value.remove_prefix(1);
      shares[absl::StrCat(resource, ":", absl::StripAsciiWhitespace(pair.first))] =
          absl::AsciiStrToLower(value);
    }
  }
  return shares;
}

absl::Status CheckSameSchemas(const std::string& path, const spec::IntelRdt& plan) {
  const std::vector<std::string> wanted = CombinedSchemas(plan);
  if (wanted.empty()) return absl::OkStatus();
  BERTH_ASSIGN_OR_RETURN(const std::string text, ReadFile(absl::StrCat(path, "/schemata")));
  const std::map<std::string, std::string> there = Shares(text);
  for (const auto& [share, value] : Shares(absl::StrJoin(wanted, "\n"))) {
    const auto found = there.find(share);
    if (found != there.end() && found->second == value) continue;
    return absl::FailedPreconditionError(
        absl::StrCat("$.linux.intelRdt: the class of service ", path, " exists and has ", share,
                     "=", found == there.end() ? "nothing" : found->second, ", not the ", value,
                     " of the specification; change one of them, or choose another closID"));
  }
  return absl::OkStatus();
}

absl::Status RemoveDirectory(const std::string& path) {
  if (::rmdir(path.c_str()) == 0 || errno == ENOENT) return absl::OkStatus();
  return ErrnoStatus(errno, "remove resctrl group", path);
}

// The kernel explains a refused write in one file for all groups.
absl::Status WriteExplained(const std::string& root, const std::string& path,
                            const std::string& text) {
  absl::Status status = WriteControlFileAt(kByPath, path, text);
  if (status.ok()) return status;
  absl::StatusOr<std::string> words = ReadFile(absl::StrCat(root, "/info/last_cmd_status"));
  if (!words.ok() || absl::StartsWith(*words, "ok")) return status;
  return Annotate(status,
                  absl::StrCat("resctrl says \"", absl::StripAsciiWhitespace(*words), "\""));
}

}  // namespace

absl::StatusOr<std::string> FindResctrl(absl::string_view text) {
  for (absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    // ... mount point ... - type source options
    const std::vector<absl::string_view> halves = absl::StrSplit(line, absl::MaxSplits(" - ", 1));
    if (halves.size() != 2 || !absl::StartsWith(halves[1], "resctrl ")) continue;
    const std::vector<absl::string_view> fields = absl::StrSplit(halves[0], ' ');
    if (fields.size() > 4) return std::string(fields[4]);
  }
  return absl::UnimplementedError(
      "$.linux.intelRdt: no resctrl filesystem is mounted here (mount -t resctrl resctrl "
      "/sys/fs/resctrl, on a processor and kernel that have it)");
}

IntelRdtGroup IntelRdtGroup::At(const std::string& root, const spec::IntelRdt& plan,
                                const std::string& container_id) {
  IntelRdtGroup group;
  group.root_ = root;
  group.is_containers_ = plan.class_id.empty();
  group.path_ = plan.class_id == "/"
                    ? root
                    : absl::StrCat(root, "/", group.is_containers_ ? container_id : plan.class_id);
  group.monitor_path_ =
      plan.monitoring ? absl::StrCat(group.path_, "/mon_groups/", container_id) : "";
  return group;
}

absl::StatusOr<IntelRdtGroup> IntelRdtGroup::Open(const std::string& root,
                                                  const spec::IntelRdt& plan,
                                                  const std::string& container_id) {
  IntelRdtGroup group = At(root, plan, container_id);
  const bool exists = ::access(group.path_.c_str(), F_OK) == 0;
  if (exists) {
    if (!group.is_containers_) {
      BERTH_RETURN_IF_ERROR(CheckSameSchemas(group.path_, plan));
    }
    return group;
  }
  if (!group.is_containers_ && CombinedSchemas(plan).empty() && plan.schemata.empty()) {
    return absl::FailedPreconditionError(
        absl::StrCat("$.linux.intelRdt.closID: no class of service ", group.path_,
                     " exists; make it, or add schemata to the specification"));
  }
  if (::mkdir(group.path_.c_str(), 0755) != 0 && errno != EEXIST) {
    const int error = errno;
    return ErrnoStatus(error,
                       error == ENOSPC ? "make resctrl group (the processor has no further class)"
                                       : "make resctrl group",
                       group.path_);
  }
  return group;
}

absl::Status IntelRdtGroup::Configure(const spec::IntelRdt& plan) const {
  const std::string file = absl::StrCat(path_, "/schemata");
  const std::vector<std::string> combined = CombinedSchemas(plan);
  if (!combined.empty()) {
    BERTH_RETURN_IF_ERROR(
        WriteExplained(root_, file, absl::StrCat(absl::StrJoin(combined, "\n"), "\n")))
        << "$.linux.intelRdt";
  }
  if (!plan.schemata.empty()) {
    BERTH_RETURN_IF_ERROR(
        WriteExplained(root_, file, absl::StrCat(absl::StrJoin(plan.schemata, "\n"), "\n")))
        << "$.linux.intelRdt.schemata";
  }
  return absl::OkStatus();
}

absl::Status IntelRdtGroup::Join(const spec::IntelRdt& plan, pid_t pid) const {
  const std::string text = absl::StrCat(pid);
  BERTH_RETURN_IF_ERROR(WriteExplained(root_, absl::StrCat(path_, "/tasks"), text))
      << "$.linux.intelRdt";
  if (!plan.monitoring) return absl::OkStatus();
  if (::mkdir(monitor_path_.c_str(), 0755) != 0 && errno != EEXIST) {
    return ErrnoStatus(errno, "make monitoring group", monitor_path_);
  }
  BERTH_RETURN_IF_ERROR(WriteExplained(root_, absl::StrCat(monitor_path_, "/tasks"), text))
      << "$.linux.intelRdt.enableMonitoring";
  return absl::OkStatus();
}

absl::Status IntelRdtGroup::Remove() const {
  absl::Status status;
  if (!monitor_path_.empty()) status = RemoveDirectory(monitor_path_);
  if (is_containers_) status.Update(RemoveDirectory(path_));
  return status;
}

}  // namespace berth::cgroup
