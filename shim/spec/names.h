// The names that a specification uses for kernel constants, and their numbers.
//
// Pure functions, thread-safe. A name that is not known gives nullopt; the caller says where it
// stood.
#ifndef BERTH_SHIM_SPEC_NAMES_H_
#define BERTH_SHIM_SPEC_NAMES_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace berth::spec {

inline constexpr int kLastCapability = 40;  // CAP_CHECKPOINT_RESTORE

std::optional<int> CapabilityNumber(absl::string_view name);  // CAP_CHOWN
std::string CapabilityName(int number);
std::optional<int> LimitNumber(absl::string_view name);            // RLIMIT_NOFILE
std::optional<int> NamespaceFlag(absl::string_view name);          // network
absl::string_view NamespaceName(int clone_flag);                   // network
absl::string_view NamespaceFile(int clone_flag);                   // net, as in /proc/<pid>/ns
std::optional<uint64_t> PropagationFlags(absl::string_view name);  // rslave
std::optional<int> SchedulerPolicy(absl::string_view name);        // SCHED_BATCH
std::optional<uint64_t> SchedulerFlag(absl::string_view name);     // SCHED_FLAG_DL_OVERRUN
std::optional<int> IoPriorityClass(absl::string_view name);        // IOPRIO_CLASS_BE
std::optional<int> MemoryPolicyMode(absl::string_view name);       // MPOL_BIND
std::optional<int> MemoryPolicyFlag(absl::string_view name);       // MPOL_F_STATIC_NODES
std::vector<std::string> MemoryPolicyModeNames();
std::vector<std::string> MemoryPolicyFlagNames();
std::optional<int> SignalNumber(absl::string_view name);  // TERM, SIGTERM, 15

// "0-2,5" as a list. Errors: nullopt for anything else, or a number above `limit`.
std::optional<std::vector<int>> ParseCpuList(absl::string_view text, int limit);

}  // namespace berth::spec

#endif  // BERTH_SHIM_SPEC_NAMES_H_
