// Which hosts serve a registry, and how they are spoken to: hosts.toml in the form that containerd
// has, and the certificates that Docker keeps in certs.d.
//
// Thread-safe functions; ParseHostsToml reads nothing but what its reader gives it.
#ifndef BERTH_SERVER_REGISTRY_CONFIG_HOSTS_CONFIG_H_
#define BERTH_SERVER_REGISTRY_CONFIG_HOSTS_CONFIG_H_

#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "proto/berth/worker/v1/worker.pb.h"

namespace berth::registry {

using Hosts = std::vector<worker::v1::Host>;

// The registry itself, without any configuration: registry-1.docker.io for docker.io.
Hosts DefaultHosts(absl::string_view registry);

// The hosts of one hosts.toml, in the order in which they stand there, the server last. Files that
// it names are read by `read`; relative names are relative to the file's directory, which is the
// reader's business. Errors: INVALID_ARGUMENT with line and key; those of `read`.
using FileReader = absl::FunctionRef<absl::StatusOr<std::string>(const std::string& path)>;
absl::StatusOr<Hosts> ParseHostsToml(absl::string_view text, absl::string_view registry,
                                     FileReader read);

// The first of the directories that has one for the registry (<name>_<port>_, <name>:<port>,
// <name>, _default) decides: its hosts.toml, or else its *.crt, *.cert and *.key. Without any, the
// defaults. Errors: those of ParseHostsToml and of the files. Blocks.
absl::StatusOr<Hosts> LoadHosts(absl::Span<const std::string> directories,
                                absl::string_view registry);

}  // namespace berth::registry

#endif  // BERTH_SERVER_REGISTRY_CONFIG_HOSTS_CONFIG_H_
