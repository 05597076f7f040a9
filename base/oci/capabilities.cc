#include "base/oci/capabilities.h"

#include <sys/prctl.h>

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/status/status_macros.h"

namespace berth::oci {
namespace {

// In the kernel's order: the index is the number in linux/capability.h.
constexpr const char* kNames[] = {
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
};

absl::StatusOr<std::string> CanonicalName(absl::string_view text) {
  std::string name = absl::AsciiStrToUpper(text);
  if (!absl::StartsWith(name, "CAP_")) name = absl::StrCat("CAP_", name);
  if (std::find(std::begin(kNames), std::end(kNames), absl::string_view(name)) ==
      std::end(kNames)) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", text, "\" is no capability (for example NET_ADMIN, or ALL)"));
  }
  return name;
}

bool IsAll(absl::string_view text) { return absl::EqualsIgnoreCase(text, "all"); }

void Add(std::vector<std::string>& set, const std::string& name) {
  if (std::find(set.begin(), set.end(), name) == set.end()) set.push_back(name);
}

}  // namespace

std::vector<std::string> DefaultCapabilities() {
  return {"CAP_CHOWN",       "CAP_DAC_OVERRIDE", "CAP_FOWNER",
          "CAP_FSETID",      "CAP_KILL",         "CAP_SETGID",
          "CAP_SETUID",      "CAP_SETPCAP",      "CAP_NET_BIND_SERVICE",
          "CAP_NET_RAW",     "CAP_SYS_CHROOT",   "CAP_MKNOD",
          "CAP_AUDIT_WRITE", "CAP_SETFCAP"};
}

std::vector<std::string> HostBoundingCapabilities() {
  std::vector<std::string> result;
  for (size_t number = 0; number < std::size(kNames); ++number) {
    if (::prctl(PR_CAPBSET_READ, number, 0, 0, 0) == 1) result.push_back(kNames[number]);
  }
  return result;
}

absl::StatusOr<std::vector<std::string>> AdjustCapabilities(std::vector<std::string> base,
                                                            const std::vector<std::string>& add,
                                                            const std::vector<std::string>& drop,
                                                            const std::vector<std::string>& all) {
  std::vector<std::string> result = std::move(base);
  // ALL first, in docker's order: `--cap-drop ALL --cap-add CHOWN` leaves CHOWN.
  if (std::any_of(drop.begin(), drop.end(), IsAll)) result.clear();
  if (std::any_of(add.begin(), add.end(), IsAll)) result = all;
  for (const std::string& text : drop) {
    if (IsAll(text)) continue;
    BERTH_ASSIGN_OR_RETURN(const std::string name, CanonicalName(text), _ << "--cap-drop");
    result.erase(std::remove(result.begin(), result.end(), name), result.end());
  }
  for (const std::string& text : add) {
    if (IsAll(text)) continue;
    BERTH_ASSIGN_OR_RETURN(const std::string name, CanonicalName(text), _ << "--cap-add");
    Add(result, name);
  }
  return result;
}

}  // namespace berth::oci
