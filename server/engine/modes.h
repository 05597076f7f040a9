// Reads the namespace modes of a host configuration: "host", "none", "container:<name>" ...
// Pure functions.
#ifndef BERTH_SERVER_ENGINE_MODES_H_
#define BERTH_SERVER_ENGINE_MODES_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "proto/berth/engine/v1/config.pb.h"

namespace berth::engine {

struct NamespaceMode {
  enum class Kind { kOwn, kHost, kNone, kShareable, kContainer } kind = Kind::kOwn;
  std::string container;  // with kContainer
};

// "" and "default" are kOwn: a network of its own with nothing but a loopback, as "none".
// Errors: UNIMPLEMENTED for networks that this release cannot make.
absl::StatusOr<NamespaceMode> ParseNetworkMode(absl::string_view mode);
absl::StatusOr<NamespaceMode> ParseIpcMode(absl::string_view mode);
absl::StatusOr<NamespaceMode> ParsePidMode(absl::string_view mode);
absl::StatusOr<NamespaceMode> ParseUtsMode(absl::string_view mode);
absl::StatusOr<NamespaceMode> ParseCgroupnsMode(absl::string_view mode);
// "" and "host".
absl::Status CheckUsernsMode(absl::string_view mode);
// Everything of a host configuration that can be refused without looking at the host. Errors:
// INVALID_ARGUMENT, UNIMPLEMENTED, each naming the option.
absl::Status CheckHostConfig(const v1::HostConfig& host);
absl::Status CheckRestartPolicy(const v1::RestartPolicy& policy, bool auto_remove);  // NOLINT

}  // namespace berth::engine

#endif  // BERTH_SERVER_ENGINE_MODES_H_
