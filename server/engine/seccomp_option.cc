#include "server/engine/seccomp_option.h"

#include <sys/utsname.h>

#include <algorithm>
#include <cstdio>

#include "absl/strings/str_cat.h"

namespace berth::engine {
namespace {

using oci::Json;

#if defined(__x86_64__)
constexpr char kArchitecture[] = "amd64";
constexpr char kSeccompArchitecture[] = "SCMP_ARCH_X86_64";
#else
constexpr char kArchitecture[] = "arm64";
constexpr char kSeccompArchitecture[] = "SCMP_ARCH_AARCH64";
#endif

const Json* Member(const Json& object, const char* key) {
  if (!object.is_object()) return nullptr;
  const auto found = object.find(key);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

bool Holds(const Json* list, absl::string_view text) {
  if (list == nullptr || !list->is_array()) return false;
  return std::any_of(list->begin(), list->end(), [&](const Json& item) {
    return item.is_string() && item.get_ref<const std::string&>() == text;
  });
}

bool KernelIsAtLeast(const std::string& version) {
  struct utsname name = {};
  int have_major = 0, have_minor = 0, want_major = 0, want_minor = 0;
  if (::uname(&name) != 0) return false;
  std::sscanf(name.release, "%d.%d", &have_major, &have_minor);
  std::sscanf(version.c_str(), "%d.%d", &want_major, &want_minor);
  return have_major != want_major ? have_major > want_major : have_minor >= want_minor;
}

bool Applies(const Json& rule, const std::vector<std::string>& capabilities) {
  const auto has = [&](const Json& name) {
    return name.is_string() && std::find(capabilities.begin(), capabilities.end(),
                                         name.get<std::string>()) != capabilities.end();
  };
  if (const Json* includes = Member(rule, "includes")) {
    if (const Json* caps = Member(*includes, "caps")) {
      if (!std::all_of(caps->begin(), caps->end(), has)) return false;
    }
    if (const Json* arches = Member(*includes, "arches")) {
      if (!arches->empty() && !Holds(arches, kArchitecture)) return false;
    }
    if (const Json* kernel = Member(*includes, "minKernel")) {
      if (kernel->is_string() && !KernelIsAtLeast(kernel->get<std::string>())) return false;
    }
  }
  if (const Json* excludes = Member(rule, "excludes")) {
    if (const Json* caps = Member(*excludes, "caps")) {
      if (std::any_of(caps->begin(), caps->end(), has)) return false;
    }
    if (Holds(Member(*excludes, "arches"), kArchitecture)) return false;
    if (const Json* kernel = Member(*excludes, "minKernel")) {
      if (kernel->is_string() && KernelIsAtLeast(kernel->get<std::string>())) return false;
    }
  }
  return true;
}

Json Architectures(const Json& profile) {
  if (const Json* list = Member(profile, "architectures")) return *list;
  Json result = Json::array();
  const Json* map = Member(profile, "archMap");
  if (map == nullptr || !map->is_array()) return result;
  for (const Json& entry : *map) {
    const Json* architecture = Member(entry, "architecture");
    if (architecture == nullptr || *architecture != kSeccompArchitecture) continue;
    result.push_back(*architecture);
    if (const Json* more = Member(entry, "subArchitectures")) {
      for (const Json& item : *more) result.push_back(item);
    }
  }
  return result;
}

Json Rule(const Json& rule) {
  Json result = Json::object();
  if (const Json* names = Member(rule, "names")) {
    result["names"] = *names;
  } else if (const Json* name = Member(rule, "name")) {
    result["names"] = Json::array({*name});
  }
  for (const char* key : {"action", "errnoRet"}) {
    if (const Json* value = Member(rule, key)) result[key] = *value;
  }
  if (const Json* args = Member(rule, "args"); args != nullptr && !args->empty()) {
    result["args"] = *args;
  }
  return result;
}

}  // namespace

absl::StatusOr<Json> ParseSeccompOption(absl::string_view json,
                                        const std::vector<std::string>& capabilities) {
  const Json profile = Json::parse(json.begin(), json.end(), nullptr, /*allow_exceptions=*/false);
  if (!profile.is_object() || Member(profile, "defaultAction") == nullptr) {
    return absl::InvalidArgumentError(
        "Decoding seccomp profile failed: expected a JSON object with a defaultAction");
  }
  Json result = {{"defaultAction", profile["defaultAction"]}};
  for (const char* key : {"defaultErrnoRet", "flags", "listenerPath", "listenerMetadata"}) {
    if (const Json* value = Member(profile, key)) result[key] = *value;
  }
  if (Json architectures = Architectures(profile); !architectures.empty()) {
    result["architectures"] = std::move(architectures);
  }
  result["syscalls"] = Json::array();
  const Json* rules = Member(profile, "syscalls");
  if (rules != nullptr && !rules->is_array()) {
    return absl::InvalidArgumentError("Decoding seccomp profile failed: syscalls is no array");
  }
  if (rules != nullptr) {
    for (const Json& rule : *rules) {
      if (Applies(rule, capabilities)) result["syscalls"].push_back(Rule(rule));
    }
  }
  return result;
}

}  // namespace berth::engine
