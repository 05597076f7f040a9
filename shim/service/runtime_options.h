// The runtime options that a client attaches to a container, as the shim understands them.
//
// Immutable value and pure function, thread-safe.
#ifndef BERTH_SHIM_SERVICE_RUNTIME_OPTIONS_H_
#define BERTH_SHIM_SERVICE_RUNTIME_OPTIONS_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "google/protobuf/any.pb.h"

namespace berth::service {

struct RuntimeOptions {
  enum class Pivot { kYes, kNo } pivot = Pivot::kYes;
  enum class NewKeyring { kYes, kNo } new_keyring = NewKeyring::kYes;
  enum class Cgroups { kFilesystem, kSystemd } cgroups = Cgroups::kFilesystem;
  std::string binary;  // of another runtime, a name or a path; empty: this program's own
  std::string root;    // where that one keeps its records; empty: its place below the state
  std::string shim_cgroup;
  uint32_t io_uid = 0;
  uint32_t io_gid = 0;
};

// An absent Any gives the defaults. Errors: INVALID_ARGUMENT for bytes that are no options.
absl::StatusOr<RuntimeOptions> DecodeRuntimeOptions(const google::protobuf::Any& any);

}  // namespace berth::service

#endif  // BERTH_SHIM_SERVICE_RUNTIME_OPTIONS_H_
