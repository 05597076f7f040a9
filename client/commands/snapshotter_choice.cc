#include "client/commands/snapshotter_choice.h"

#include "client/sdk/namespace_client.h"

namespace berth::client {

std::string ChooseSnapshotter(const Connection& connection, absl::string_view wanted) {
  if (!wanted.empty()) return std::string(wanted);
  absl::StatusOr<NamespaceRecord> ns = NamespaceClient(connection).Get(connection.ns());
  if (ns.ok()) {
    const auto label = ns->labels().find("containerd.io/defaults/snapshotter");
    if (label != ns->labels().end()) return label->second;
  }
  return "overlayfs";
}

}  // namespace berth::client
