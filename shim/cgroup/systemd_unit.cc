#include "shim/cgroup/systemd_unit.h"

#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace berth::cgroup {
namespace {

constexpr size_t kLongestName = 255;

bool ValidName(absl::string_view name) {
  if (name.empty() || name.size() > kLongestName || name[0] == '.') return false;
  for (char c : name) {
    if (!absl::ascii_isalnum(static_cast<unsigned char>(c)) && !absl::StrContains(":-_.\\@", c)) {
      return false;
    }
  }
  return true;
}

absl::Status Bad(absl::string_view path, absl::string_view why) {
  return absl::InvalidArgumentError(
      absl::StrCat("config.json: $.linux.cgroupsPath: \"", path, "\": ", why,
                   "; the systemd cgroup driver expects \"slice:prefix:name\", as in "
                   "\"system.slice:docker:web\""));
}

// "/a.slice/a-b.slice" for a-b.slice; "-.slice" is the root.
absl::StatusOr<std::string> SlicePath(absl::string_view slice, absl::string_view whole) {
  absl::string_view name = slice;
  if (!absl::ConsumeSuffix(&name, ".slice") || !ValidName(slice)) {
    return Bad(whole, absl::StrCat("\"", slice, "\" is no slice"));
  }
  if (name == "-") return std::string();
  std::string path;
  std::string prefix;
  for (absl::string_view part : absl::StrSplit(name, '-')) {
    if (part.empty()) return Bad(whole, absl::StrCat("\"", slice, "\" has an empty part"));
    absl::StrAppend(&prefix, prefix.empty() ? "" : "-", part);
    absl::StrAppend(&path, "/", prefix, ".slice");
  }
  return path;
}

}  // namespace

absl::StatusOr<SystemdUnit> ParseSystemdUnit(absl::string_view cgroups_path, absl::string_view id,
                                             SystemdManager manager) {
  SystemdUnit unit;
  std::vector<absl::string_view> parts = {"", "berth", id};
  if (!cgroups_path.empty()) parts = absl::StrSplit(cgroups_path, ':');
  if (parts.size() != 3) return Bad(cgroups_path, "it has not three parts");
  unit.slice = std::string(parts[0]);
  if (unit.slice.empty()) {
    unit.slice = manager == SystemdManager::kUser ? "user.slice" : "system.slice";
  }
  unit.scope = absl::StrCat(parts[1], parts[1].empty() ? "" : "-", parts[2], ".scope");
  if (parts[2].empty() || !ValidName(unit.scope)) return Bad(cgroups_path, "the name is no unit's");
  absl::StatusOr<std::string> slice = SlicePath(unit.slice, cgroups_path);
  if (!slice.ok()) return slice.status();
  unit.path = absl::StrCat(*slice, "/", unit.scope);
  return unit;
}

std::string SystemdRoot(absl::string_view proc_cgroup) {
  for (absl::string_view line : absl::StrSplit(proc_cgroup, '\n', absl::SkipEmpty())) {
    const std::vector<absl::string_view> fields = absl::StrSplit(line, absl::MaxSplits(':', 2));
    if (fields.size() != 3 || (!fields[1].empty() && fields[1] != "name=systemd")) continue;
    absl::string_view path = fields[2];
    absl::ConsumeSuffix(&path, "/init.scope");
    return path == "/" ? "" : std::string(path);
  }
  return "";
}

}  // namespace berth::cgroup
