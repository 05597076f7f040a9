#include "server/engine/spec_security.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/oci/capabilities.h"
#include "base/status/status_macros.h"
#include "server/engine/seccomp_option.h"

namespace berth::engine {
namespace {

struct Options {
  std::string seccomp;
};

absl::StatusOr<Options> ApplyOptions(const v1::HostConfig& host, SecuritySpec& security) {
  Options result;
  for (const std::string& option : host.security_options()) {
    // "key=value"; "key:value" is Docker's older form.
    const size_t at = option.find_first_of("=:");
    const absl::string_view key = absl::string_view(option).substr(0, at);
    const absl::string_view value =
        at == std::string::npos ? "" : absl::string_view(option).substr(at + 1);
    if (key == "no-new-privileges") {
      if (!value.empty() && value != "true" && value != "false") {
        return absl::InvalidArgumentError(
            absl::StrCat("invalid --security-opt 2: \"", option, "\""));
      }
      security.no_new_privileges = value != "false";
    } else if (key == "seccomp") {
      result.seccomp = std::string(value);
    } else if (key == "apparmor") {
      security.apparmor_profile = value == "unconfined" ? "" : std::string(value);
    } else if (key == "label") {
      if (value != "disable") {
        return absl::InvalidArgumentError(
            absl::StrCat("--security-opt \"", option,
                         "\": SELinux labels are not supported; only label=disable is known"));
      }
    } else if (key == "systempaths" && value == "unconfined") {
      security.system_paths_confined = false;
    } else {
      return absl::InvalidArgumentError(absl::StrCat("invalid --security-opt 2: \"", option, "\""));
    }
  }
  return result;
}

}  // namespace

absl::StatusOr<SecuritySpec> ResolveSecurity(const v1::HostConfig& host) {
  SecuritySpec security;
  BERTH_ASSIGN_OR_RETURN(const Options options, ApplyOptions(host, security));
  if (host.privileged()) security.system_paths_confined = false;
  std::vector<std::string> all = oci::HostBoundingCapabilities();
  BERTH_ASSIGN_OR_RETURN(
      security.capabilities,
      oci::AdjustCapabilities(host.privileged() ? all : oci::DefaultCapabilities(),
                              {host.cap_add().begin(), host.cap_add().end()},
                              {host.cap_drop().begin(), host.cap_drop().end()}, all));
  // What this machine does not give cannot be given on.
  std::erase_if(security.capabilities, [&](const std::string& name) {
    return std::find(all.begin(), all.end(), name) == all.end();
  });
  if (options.seccomp == "unconfined" || (options.seccomp.empty() && host.privileged())) {
    return security;
  }
  if (options.seccomp.empty() || options.seccomp == "builtin") {
    security.seccomp = oci::DefaultSeccompProfile(security.capabilities);
  } else {
    BERTH_ASSIGN_OR_RETURN(security.seccomp,
                           ParseSeccompOption(options.seccomp, security.capabilities));
  }
  return security;
}

}  // namespace berth::engine
