#include "client/options/mount_syntax.h"

#include <algorithm>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status/status_macros.h"
#include "client/options/value_syntax.h"

namespace berth::client {
namespace {

using ::berth::engine::v1::Mount;

absl::Status Fault(absl::string_view what) { return absl::InvalidArgumentError(what); }

bool IsPropagation(absl::string_view word) {
  for (absl::string_view known : {"private", "rprivate", "shared", "rshared", "slave", "rslave"}) {
    if (word == known) return true;
  }
  return false;
}

absl::Status CheckTarget(absl::string_view target) {
  if (!absl::StartsWith(target, "/")) {
    return Fault(absl::StrCat("the destination \"", target, "\" must be an absolute path"));
  }
  if (target.find_first_not_of('/') == absl::string_view::npos) {
    return Fault("the destination must not be /");
  }
  return absl::OkStatus();
}

absl::Status CheckVolumeName(absl::string_view name) {
  const bool is_fine = name.size() > 1 &&
                       absl::ascii_isalnum(static_cast<unsigned char>(name[0])) &&
                       std::all_of(name.begin(), name.end(), [](char c) {
                         return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_' ||
                                c == '.' || c == '-';
                       });
  if (is_fine) return absl::OkStatus();
  return Fault(absl::StrCat("\"", name,
                            "\" is no name for a volume (two or more of letters, digits, _ . and "
                            "-); a path of the host begins with / or ./"));
}

std::string AbsolutePath(absl::string_view path, absl::string_view working_directory) {
  return absl::StartsWith(path, "/") ? std::string(path)
                                     : absl::StrCat(working_directory, "/", path);
}

absl::Status ApplyVolumeWord(absl::string_view word, Mount& mount) {
  if (word == "ro" || word == "readonly") {
    mount.set_read_only(true);
  } else if (word == "rro") {
    mount.set_read_only(true);
    mount.set_read_only_force_recursive(true);
  } else if (word == "nocopy") {
    mount.set_no_copy(true);
  } else if (IsPropagation(word)) {
    mount.set_propagation(std::string(word));
  } else if (word != "rw" && word != "z" && word != "Z" && word != "cached" &&
             word != "delegated" && word != "consistent" && word != "volume-copy") {
    return Fault(absl::StrCat("unknown option \"", word,
                              "\" (known: ro, rro, rw, nocopy, z, Z, [r]private, [r]shared, "
                              "[r]slave)"));
  }
  return absl::OkStatus();
}

// Fields of a line of CSV: quotes keep commas.
std::vector<std::string> SplitCsv(absl::string_view line) {
  std::vector<std::string> fields(1);
  bool is_quoted = false;
  for (size_t i = 0; i < line.size(); ++i) {
    if (line[i] == '"' && is_quoted && i + 1 < line.size() && line[i + 1] == '"') {
      fields.back().push_back('"');
      ++i;
    } else if (line[i] == '"') {
      is_quoted = !is_quoted;
    } else if (line[i] == ',' && !is_quoted) {
      fields.emplace_back();
    } else {
      fields.back().push_back(line[i]);
    }
  }
  return fields;
}

absl::StatusOr<bool> ParseSwitch(absl::string_view key, absl::string_view value) {
  bool is_on = true;
  if (value.empty() || absl::SimpleAtob(value, &is_on)) return is_on;
  return Fault(absl::StrCat(key, " is true or false, not \"", value, "\""));
}

absl::Status ApplyBindRecursive(absl::string_view value, Mount& mount) {
  if (value == "disabled") {
    mount.set_non_recursive(true);
  } else if (value == "writable") {
    mount.set_read_only_non_recursive(true);
  } else if (value == "readonly") {
    mount.set_read_only_force_recursive(true);
  } else if (value != "enabled") {
    return Fault(absl::StrCat("bind-recursive is enabled, disabled, writable or readonly, not \"",
                              value, "\""));
  }
  return absl::OkStatus();
}

absl::Status ApplyMountType(absl::string_view value, Mount& mount) {
  if (value == "bind") {
    mount.set_type(Mount::TYPE_BIND);
  } else if (value == "volume") {
    mount.set_type(Mount::TYPE_VOLUME);
  } else if (value == "tmpfs") {
    mount.set_type(Mount::TYPE_TMPFS);
  } else {
    return Fault(absl::StrCat("the type is bind, volume or tmpfs, not \"", value, "\""));
  }
  return absl::OkStatus();
}

// Which type a key belongs to, by its first word.
absl::Status CheckKeyFitsType(absl::string_view key, const Mount& mount) {
  const struct {
    absl::string_view prefix;
    Mount::Type type;
  } kOwners[] = {
      {"bind-", Mount::TYPE_BIND}, {"volume-", Mount::TYPE_VOLUME}, {"tmpfs-", Mount::TYPE_TMPFS}};
  for (const auto& owner : kOwners) {
    if (absl::StartsWith(key, owner.prefix) && mount.type() != owner.type) {
      return Fault(absl::StrCat("\"", key, "\" does not go with this type of mount"));
    }
  }
  return absl::OkStatus();
}

absl::Status ApplyTypedKey(absl::string_view key, absl::string_view value, Mount& mount) {
  if (key == "bind-propagation") {
    if (!IsPropagation(value)) {
      return Fault(absl::StrCat("\"", value,
                                "\" is no propagation ([r]private, [r]shared, "
                                "[r]slave)"));
    }
    mount.set_propagation(std::string(value));
  } else if (key == "bind-nonrecursive") {
    BERTH_ASSIGN_OR_RETURN(const bool is_on, ParseSwitch(key, value));
    mount.set_non_recursive(is_on);
  } else if (key == "bind-recursive") {
    return ApplyBindRecursive(value, mount);
  } else if (key == "bind-create-src") {
    BERTH_ASSIGN_OR_RETURN(const bool is_on, ParseSwitch(key, value));
    mount.set_create_source(is_on);
  } else if (key == "volume-nocopy") {
    BERTH_ASSIGN_OR_RETURN(const bool is_on, ParseSwitch(key, value));
    mount.set_no_copy(is_on);
  } else if (key == "volume-driver") {
    mount.set_volume_driver(std::string(value));
  } else if (key == "volume-subpath") {
    mount.set_subpath(std::string(value));
  } else if (key == "volume-label" || key == "volume-opt") {
    const std::pair<std::string, std::string> pair = absl::StrSplit(value, absl::MaxSplits('=', 1));
    auto& map =
        key == "volume-label" ? *mount.mutable_volume_labels() : *mount.mutable_volume_options();
    map[pair.first] = pair.second;
  } else if (key == "tmpfs-size") {
    BERTH_ASSIGN_OR_RETURN(const int64_t size, ParseByteSize(value));
    mount.set_tmpfs_size_bytes(size);
  } else if (key == "tmpfs-mode") {
    unsigned mode = 0;
    for (const char c : value) {
      if (c < '0' || c > '7' || mode > 0777777) return Fault("tmpfs-mode is an octal number");
      mode = mode * 8 + static_cast<unsigned>(c - '0');
    }
    mount.set_tmpfs_mode(mode);
  } else {
    return Fault(absl::StrCat("unknown key \"", key, "\""));
  }
  return absl::OkStatus();
}

absl::Status ApplyMountField(absl::string_view field, Mount& mount) {
  const std::pair<absl::string_view, absl::string_view> pair =
      absl::StrSplit(field, absl::MaxSplits('=', 1));
  const std::string key = absl::AsciiStrToLower(absl::StripAsciiWhitespace(pair.first));
  const absl::string_view value = pair.second;
  if (key == "readonly" || key == "ro") {
    BERTH_ASSIGN_OR_RETURN(const bool is_on, ParseSwitch(key, value));
    mount.set_read_only(is_on);
    return absl::OkStatus();
  }
  if (value.empty() && key != "volume-nocopy" && key != "bind-nonrecursive" &&
      key != "bind-create-src") {
    return Fault(absl::StrCat("\"", field, "\" is no KEY=VALUE"));
  }
  if (key == "type") return ApplyMountType(value, mount);
  if (key == "source" || key == "src") {
    mount.set_source(std::string(value));
  } else if (key == "target" || key == "dst" || key == "destination") {
    mount.set_target(std::string(value));
  } else if (key != "consistency") {
    BERTH_RETURN_IF_ERROR(CheckKeyFitsType(key, mount));
    return ApplyTypedKey(key, value, mount);
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Mount> ParseVolumeOption(absl::string_view text,
                                        absl::string_view working_directory) {
  const std::vector<absl::string_view> parts = absl::StrSplit(text, ':');
  if (text.empty() || parts.size() > 3) {
    return Fault("expected [SOURCE:]DESTINATION[:OPTIONS]");
  }
  Mount mount;
  if (parts.size() == 1) {
    mount.set_type(Mount::TYPE_VOLUME);
    mount.set_target(std::string(parts[0]));
    BERTH_RETURN_IF_ERROR(CheckTarget(mount.target()));
    return mount;
  }
  if (parts[0].empty()) return Fault("the source is empty");
  mount.set_target(std::string(parts[1]));
  BERTH_RETURN_IF_ERROR(CheckTarget(mount.target()));
  if (absl::StrContains(parts[0], '/') || parts[0] == "." || parts[0] == "..") {
    mount.set_type(Mount::TYPE_BIND);
    mount.set_source(AbsolutePath(parts[0], working_directory));
    mount.set_create_source(true);
  } else {
    mount.set_type(Mount::TYPE_VOLUME);
    mount.set_source(std::string(parts[0]));
    BERTH_RETURN_IF_ERROR(CheckVolumeName(parts[0]));
  }
  if (parts.size() == 3) {
    for (absl::string_view word : absl::StrSplit(parts[2], ',')) {
      BERTH_RETURN_IF_ERROR(ApplyVolumeWord(word, mount));
    }
  }
  return mount;
}

absl::StatusOr<Mount> ParseMountOption(absl::string_view text,
                                       absl::string_view working_directory) {
  Mount mount;
  mount.set_type(Mount::TYPE_VOLUME);  // docker's default
  std::vector<std::string> fields = SplitCsv(text);
  // The type first: the other keys are checked against it.
  std::stable_partition(fields.begin(), fields.end(),
                        [](const std::string& field) { return absl::StartsWith(field, "type="); });
  for (const std::string& field : fields) BERTH_RETURN_IF_ERROR(ApplyMountField(field, mount));
  if (mount.target().empty()) return Fault("target is missing");
  BERTH_RETURN_IF_ERROR(CheckTarget(mount.target()));
  if (mount.type() == Mount::TYPE_BIND) {
    if (mount.source().empty()) return Fault("a bind wants a source");
    mount.set_source(AbsolutePath(mount.source(), working_directory));
    if (mount.read_only_force_recursive() && !mount.read_only()) {
      return Fault("bind-recursive=readonly goes with readonly");
    }
  } else if (mount.type() == Mount::TYPE_TMPFS) {
    if (!mount.source().empty()) return Fault("a tmpfs has no source");
  } else if (!mount.source().empty()) {
    BERTH_RETURN_IF_ERROR(CheckVolumeName(mount.source()));
  }
  return mount;
}

absl::StatusOr<Mount> ParseTmpfsOption(absl::string_view text) {
  const std::pair<absl::string_view, absl::string_view> parts =
      absl::StrSplit(text, absl::MaxSplits(':', 1));
  Mount mount;
  mount.set_type(Mount::TYPE_TMPFS);
  mount.set_target(std::string(parts.first));
  BERTH_RETURN_IF_ERROR(CheckTarget(mount.target()));
  for (absl::string_view word : absl::StrSplit(parts.second, ',', absl::SkipEmpty())) {
    mount.add_tmpfs_options(std::string(word));
  }
  return mount;
}

}  // namespace berth::client
