#include "base/oci/user_lookup.h"

#include <algorithm>
#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status/status_macros.h"

namespace berth::oci {
namespace {

struct PasswdEntry {
  std::string name;
  uint32_t uid = 0;
  uint32_t gid = 0;
  std::string home;
};

// Lines that do not parse are skipped, as getpwent(3) does.
std::optional<PasswdEntry> FindUser(absl::string_view passwd, absl::string_view name,
                                    std::optional<uint32_t> uid) {
  for (absl::string_view line : absl::StrSplit(passwd, '\n')) {
    const std::vector<absl::string_view> fields = absl::StrSplit(line, ':');
    PasswdEntry entry;
    if (fields.size() < 6 || !absl::SimpleAtoi(fields[2], &entry.uid) ||
        !absl::SimpleAtoi(fields[3], &entry.gid)) {
      continue;
    }
    if (fields[0] != name && (!uid.has_value() || *uid != entry.uid)) continue;
    entry.name = std::string(fields[0]);
    entry.home = std::string(fields[5]);
    return entry;
  }
  return std::nullopt;
}

struct GroupEntry {
  absl::string_view name;
  uint32_t gid = 0;
  std::vector<absl::string_view> members;
};

std::vector<GroupEntry> ParseGroups(absl::string_view group) {
  std::vector<GroupEntry> entries;
  for (absl::string_view line : absl::StrSplit(group, '\n')) {
    const std::vector<absl::string_view> fields = absl::StrSplit(line, ':');
    GroupEntry entry;
    if (fields.size() < 4 || !absl::SimpleAtoi(fields[2], &entry.gid)) continue;
    entry.name = fields[0];
    entry.members = absl::StrSplit(fields[3], ',', absl::SkipEmpty());
    entries.push_back(std::move(entry));
  }
  return entries;
}

std::optional<uint32_t> AsNumber(absl::string_view text) {
  uint32_t number = 0;
  if (text.empty() || !absl::ascii_isdigit(text[0]) || !absl::SimpleAtoi(text, &number)) {
    return std::nullopt;
  }
  return number;
}

absl::StatusOr<uint32_t> FindGroup(const std::vector<GroupEntry>& groups, absl::string_view name) {
  for (const GroupEntry& entry : groups) {
    if (entry.name == name) return entry.gid;
  }
  if (std::optional<uint32_t> gid = AsNumber(name)) return *gid;
  return absl::NotFoundError(
      absl::StrCat("no group \"", name, "\" in the image's /etc/group; give its number instead"));
}

}  // namespace

absl::StatusOr<ProcessUser> LookUpUser(absl::string_view user, absl::string_view passwd,
                                       absl::string_view group) {
  const std::vector<absl::string_view> parts = absl::StrSplit(user, absl::MaxSplits(':', 1));
  const absl::string_view name = parts[0].empty() ? "0" : parts[0];
  const bool has_group = parts.size() == 2 && !parts[1].empty();
  const std::vector<GroupEntry> groups = ParseGroups(group);

  ProcessUser result;
  const std::optional<uint32_t> uid = AsNumber(name);
  const std::optional<PasswdEntry> entry = FindUser(passwd, name, uid);
  if (entry.has_value()) {
    result.uid = entry->uid;
    result.gid = entry->gid;
    if (!entry->home.empty()) result.home = entry->home;
  } else if (uid.has_value()) {
    result.uid = *uid;
  } else {
    return absl::NotFoundError(
        absl::StrCat("no user \"", name, "\" in the image's /etc/passwd; give its number instead"));
  }
  if (has_group) {
    BERTH_ASSIGN_OR_RETURN(result.gid, FindGroup(groups, parts[1]));
    return result;
  }
  if (!entry.has_value()) return result;
  for (const GroupEntry& candidate : groups) {
    const bool member = std::find(candidate.members.begin(), candidate.members.end(),
                                  entry->name) != candidate.members.end();
    if (member && candidate.gid != result.gid) result.additional_gids.push_back(candidate.gid);
  }
  return result;
}

}  // namespace berth::oci
