#include "client/sdk/mount_option.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status/status_macros.h"

namespace berth::client {
namespace {

absl::Status Invalid(absl::string_view option, absl::string_view text, absl::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat(option, " \"", text, "\": ", why));
}

bool IsPropagation(absl::string_view word) {
  for (absl::string_view known : {"private", "rprivate", "shared", "rshared", "slave", "rslave"}) {
    if (word == known) return true;
  }
  return false;
}

// Words of -v that mount options know under the same name, and those of docker that mean nothing
// without SELinux or with a native filesystem.
absl::StatusOr<std::vector<std::string>> VolumeWords(absl::string_view text,
                                                     absl::string_view words) {
  std::vector<std::string> options = {"rbind"};
  bool has_propagation = false;
  for (absl::string_view word : absl::StrSplit(words, ',', absl::SkipEmpty())) {
    if (word == "ro" || word == "rw") {
      options.push_back(std::string(word));
    } else if (IsPropagation(word)) {
      has_propagation = true;
      options.push_back(std::string(word));
    } else if (word == "z" || word == "Z" || word == "cached" || word == "delegated" ||
               word == "consistent" || word == "nocopy") {
      continue;
    } else {
      return Invalid("-v", text,
                     absl::StrCat("unknown option \"", word,
                                  "\" (known: ro, rw, z, Z, [r]private, [r]shared, [r]slave)"));
    }
  }
  if (!has_propagation) options.push_back("rprivate");
  return options;
}

}  // namespace

absl::StatusOr<MountOption> ParseVolume(absl::string_view text,
                                        absl::string_view working_directory) {
  const std::vector<absl::string_view> parts = absl::StrSplit(text, ':');
  if (parts.size() < 2 || parts.size() > 3) {
    return Invalid("-v", text, "expected SOURCE:DESTINATION[:OPTIONS]");
  }
  MountOption mount;
  mount.type = "bind";
  if (parts[0].empty()) return Invalid("-v", text, "the source is empty");
  if (absl::StartsWith(parts[0], "/")) {
    mount.source = std::string(parts[0]);
  } else if (absl::StartsWith(parts[0], ".") || absl::StrContains(parts[0], '/')) {
    mount.source = absl::StrCat(working_directory, "/", parts[0]);
  } else {
    return Invalid("-v", text,
                   absl::StrCat("named volumes are not supported; give a path of the host, for "
                                "example ./",
                                parts[0]));
  }
  mount.destination = std::string(parts[1]);
  if (!absl::StartsWith(mount.destination, "/") || mount.destination == "/") {
    return Invalid("-v", text, "the destination must be an absolute path below /");
  }
  BERTH_ASSIGN_OR_RETURN(mount.options, VolumeWords(text, parts.size() == 3 ? parts[2] : ""));
  return mount;
}

absl::StatusOr<MountOption> ParseTmpfs(absl::string_view text) {
  const std::pair<absl::string_view, absl::string_view> parts =
      absl::StrSplit(text, absl::MaxSplits(':', 1));
  MountOption mount;
  mount.type = "tmpfs";
  mount.source = "tmpfs";
  mount.destination = std::string(parts.first);
  if (!absl::StartsWith(mount.destination, "/") || mount.destination == "/") {
    return Invalid("--tmpfs", text, "expected an absolute path below /, then options");
  }
  mount.options = {"nosuid", "nodev", "noexec"};
  for (absl::string_view word : absl::StrSplit(parts.second, ',', absl::SkipEmpty())) {
    // "exec", "suid" and "dev" take a default back.
    mount.options.erase(
        std::remove(mount.options.begin(), mount.options.end(), absl::StrCat("no", word)),
        mount.options.end());
    mount.options.push_back(std::string(word));
  }
  return mount;
}

}  // namespace berth::client
