#include "server/engine/spec_devices.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <filesystem>
#include <regex>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/oci/host_devices.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"

namespace berth::engine {
namespace {

using oci::Json;

Json Rule(bool allow, char type, int64_t device_major, int64_t device_minor,  // NOLINT: OCI's field
          absl::string_view access) {
  Json rule = {{"allow", allow}};
  if (type != 'a') rule["type"] = std::string(1, type);
  if (device_major >= 0) rule["major"] = device_major;
  if (device_minor >= 0) rule["minor"] = device_minor;
  rule["access"] = std::string(access);
  return rule;
}

// Nothing but the harmless devices; making any node with mknod is allowed, using it is not.
void AddDefaultRules(Json& rules) {
  rules.push_back(Rule(false, 'a', -1, -1, "rwm"));
  rules.push_back(Rule(true, 'c', -1, -1, "m"));
  rules.push_back(Rule(true, 'b', -1, -1, "m"));
  struct Allowed {
    int device_major;
    int device_minor;
  };
  // null, zero, full, random, urandom, tty, console, ptmx, every pty.
  for (const Allowed& device :
       {Allowed{1, 3}, Allowed{1, 5}, Allowed{1, 7}, Allowed{1, 8}, Allowed{1, 9}, Allowed{5, 0},
        Allowed{5, 1}, Allowed{5, 2}, Allowed{136, -1}}) {
    rules.push_back(Rule(true, 'c', device.device_major, device.device_minor, "rwm"));
  }
}

void AddNode(const struct stat& status, const std::string& path, absl::string_view access,
             DeviceSpec& spec) {
  const char type = S_ISCHR(status.st_mode) ? 'c' : 'b';
  const int64_t device_major = major(status.st_rdev);
  const int64_t device_minor = minor(status.st_rdev);
  spec.nodes.push_back({{"path", path},
                        {"type", std::string(1, type)},
                        {"major", device_major},
                        {"minor", device_minor},
                        {"fileMode", status.st_mode & 07777},
                        {"uid", status.st_uid},
                        {"gid", status.st_gid}});
  spec.rules.push_back(Rule(true, type, device_major, device_minor, access));
}

bool IsDevice(const struct stat& status) {
  return S_ISCHR(status.st_mode) || S_ISBLK(status.st_mode);
}

absl::Status AddMapping(const v1::DeviceMapping& mapping, DeviceSpec& spec) {
  const std::string& source = mapping.host_path();
  const std::string target = mapping.container_path().empty() ? source : mapping.container_path();
  const std::string access = mapping.permissions().empty() ? "rwm" : mapping.permissions();
  for (const char c : access) {
    if (c != 'r' && c != 'w' && c != 'm') {
      return absl::InvalidArgumentError(absl::StrCat("invalid device mode: ", access));
    }
  }
  struct stat status = {};
  if (::stat(source.c_str(), &status) != 0) {
    return ErrnoStatus(errno, absl::StrCat("error gathering device information while adding "
                                           "custom device \"",
                                           source, "\""));
  }
  if (IsDevice(status)) {
    AddNode(status, target, access, spec);
    return absl::OkStatus();
  }
  const size_t before = spec.nodes.size();
  if (S_ISDIR(status.st_mode)) {
    std::error_code error;
    for (std::filesystem::recursive_directory_iterator entry(source, error), end;
         !error && entry != end; entry.increment(error)) {
      const std::string path = entry->path().string();
      if (::lstat(path.c_str(), &status) == 0 && IsDevice(status)) {
        AddNode(status, absl::StrCat(target, path.substr(source.size())), access, spec);
      }
    }
  }
  if (spec.nodes.size() > before) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("error gathering device information while adding custom device \"", source,
                   "\": not a device node"));
}

// "c 1:3 mr", "b 8:* rwm", "a *:* rwm".
absl::Status AddRule(const std::string& text, DeviceSpec& spec) {
  static const std::regex kRule(R"(([acb]) ([0-9]+|\*):([0-9]+|\*) ([rwm]{1,3}))");
  std::smatch parts;
  if (!std::regex_match(text, parts, kRule)) {
    return absl::InvalidArgumentError(
        absl::StrCat("invalid device cgroup rule format: '", text, "'"));
  }
  const auto number = [](const std::string& part) -> int64_t {
    int64_t value = -1;
    return part != "*" && absl::SimpleAtoi(part, &value) ? value : -1;
  };
  spec.rules.push_back(Rule(true, parts[1].str()[0], number(parts[2].str()), number(parts[3].str()),
                            parts[4].str()));
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<DeviceSpec> ResolveDevices(const v1::HostConfig& host) {
  DeviceSpec spec;
  if (host.privileged()) {
    spec.rules.push_back(Rule(true, 'a', -1, -1, "rwm"));
    for (const oci::HostDevice& device : oci::ListHostDevices()) {
      spec.nodes.push_back({{"path", device.path},
                            {"type", std::string(1, device.type)},
                            {"major", device.device_major},
                            {"minor", device.device_minor},
                            {"fileMode", device.mode},
                            {"uid", device.uid},
                            {"gid", device.gid}});
    }
  } else {
    AddDefaultRules(spec.rules);
  }
  for (const v1::DeviceMapping& mapping : host.devices()) {
    BERTH_RETURN_IF_ERROR(AddMapping(mapping, spec));
  }
  for (const std::string& rule : host.device_cgroup_rules()) {
    BERTH_RETURN_IF_ERROR(AddRule(rule, spec));
  }
  return spec;
}

}  // namespace berth::engine
