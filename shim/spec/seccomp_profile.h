// linux.seccomp as plain values: which action for which system calls.
//
// Parsed apart from the rest of config.json, because only the child that compiles a profile for the
// first time needs it; afterwards the compiled program is found by the section's hash. Immutable
// once parsed.
#ifndef BERTH_SHIM_SPEC_SECCOMP_PROFILE_H_
#define BERTH_SHIM_SPEC_SECCOMP_PROFILE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace berth::spec {

enum class SeccompAction {
  kKillThread,
  kKillProcess,
  kTrap,
  kErrno,
  kTrace,
  kAllow,
  kLog,
  kNotify
};
enum class SeccompOperator {
  kNotEqual,
  kLess,
  kLessOrEqual,
  kEqual,
  kGreaterOrEqual,
  kGreater,
  kMaskedEqual
};

struct SeccompArgument {
  uint32_t index = 0;  // 0 to 5
  uint64_t value = 0;
  uint64_t value_two = 0;
  SeccompOperator op = SeccompOperator::kEqual;
};

struct SeccompRule {
  std::vector<std::string> names;
  SeccompAction action = SeccompAction::kErrno;
  std::optional<uint32_t> errno_value;
  std::vector<SeccompArgument> arguments;
};

struct SeccompProfile {
  SeccompAction default_action = SeccompAction::kErrno;
  std::optional<uint32_t> default_errno;
  std::vector<std::string> architectures;  // SCMP_ARCH_*
  std::vector<std::string> flags;          // SECCOMP_FILTER_FLAG_*
  std::vector<SeccompRule> rules;
};

// `json`: the section as written. Errors: INVALID_ARGUMENT with the path from $.linux.seccomp.
absl::StatusOr<SeccompProfile> ParseSeccomp(std::string json);

// The SECCOMP_FILTER_FLAG_* bits of `json`'s flags, without reading its rules.
absl::StatusOr<uint32_t> ParseSeccompFlags(absl::string_view json);

std::vector<std::string> SeccompActionNames();
std::vector<std::string> SeccompOperatorNames();
std::vector<std::string> SeccompArchitectureNames();
std::vector<std::string> SeccompFlagNames();

}  // namespace berth::spec

#endif  // BERTH_SHIM_SPEC_SECCOMP_PROFILE_H_
