// The texts of /etc/hosts, /etc/hostname and /etc/resolv.conf that a container gets. Pure
// functions.
#ifndef BERTH_SERVER_ENGINE_NETWORK_FILES_H_
#define BERTH_SERVER_ENGINE_NETWORK_FILES_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "proto/berth/engine/v1/config.pb.h"

namespace berth::engine {

// `host_text`: this machine's file, used with its network. Errors: INVALID_ARGUMENT for a malformed
// extra host.
absl::StatusOr<std::string> MakeHosts(const v1::HostConfig& host, absl::string_view hostname,
                                      absl::string_view host_text);
// `host_text`: this machine's file; what the options say replaces its lines.
std::string MakeResolvConf(const v1::HostConfig& host, absl::string_view host_text);

}  // namespace berth::engine

#endif  // BERTH_SERVER_ENGINE_NETWORK_FILES_H_
