// The daemon's parts under the names that containerd's clients look for.
//
// buildkit wants a runtime with platforms, puller clients a snapshotter with its capabilities, and
// everybody shows the list. Immutable result; thread-safe function.
#ifndef BERTH_SERVER_MAIN_PLUGIN_LIST_H_
#define BERTH_SERVER_MAIN_PLUGIN_LIST_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "proto/containerd/services/introspection/v1/introspection.pb.h"

namespace berth {

struct SnapshotterPlugin {
  std::string name;
  std::string root;
  std::vector<std::string> capabilities;
  std::string error;  // why it cannot be used here; empty when it can
};

struct PluginFacts {
  std::string root;
  std::vector<SnapshotterPlugin> snapshotters;
  // The gRPC services by the short names of the plugins that hold them: "tasks", "content".
  std::vector<std::string> services;
};

std::vector<containerd::services::introspection::v1::Plugin> ListPlugins(const PluginFacts& facts);

}  // namespace berth

#endif  // BERTH_SERVER_MAIN_PLUGIN_LIST_H_
