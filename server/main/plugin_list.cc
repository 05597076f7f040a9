#include "server/main/plugin_list.h"

#include <sys/utsname.h>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace berth {
namespace {

using containerd::services::introspection::v1::Plugin;
using containerd::types::Platform;

enum class OnPlatform { kAny, kHost };

// The machine in the words of OCI images, which are Go's.
Platform HostPlatform() {
  struct utsname name;
  ::uname(&name);
  const std::string machine = name.machine;
  Platform platform;
  platform.set_os("linux");
  if (machine == "x86_64") {
    platform.set_architecture("amd64");
  } else if (machine == "aarch64") {
    platform.set_architecture("arm64");
  } else {
    platform.set_architecture(machine);
  }
  return platform;
}

Plugin MakePlugin(absl::string_view type, absl::string_view id, OnPlatform on_platform,
                  std::vector<std::string> requires_types = {}) {
  Plugin plugin;
  plugin.set_type(std::string(type));
  plugin.set_id(std::string(id));
  if (on_platform == OnPlatform::kHost) *plugin.add_platforms() = HostPlatform();
  for (std::string& required : requires_types) plugin.add_requires_(std::move(required));
  return plugin;
}

Plugin MakeSnapshotter(const SnapshotterPlugin& snapshotter) {
  Plugin plugin = MakePlugin("io.containerd.snapshotter.v1", snapshotter.name, OnPlatform::kHost);
  (*plugin.mutable_exports())["root"] = snapshotter.root;
  for (const std::string& capability : snapshotter.capabilities) {
    plugin.add_capabilities(capability);
  }
  if (!snapshotter.error.empty()) {
    plugin.mutable_init_err()->set_code(static_cast<int>(absl::StatusCode::kUnknown));
    plugin.mutable_init_err()->set_message(snapshotter.error);
  }
  return plugin;
}

}  // namespace

std::vector<Plugin> ListPlugins(const PluginFacts& facts) {
  std::vector<Plugin> plugins;
  Plugin content = MakePlugin("io.containerd.content.v1", "content", OnPlatform::kAny);
  (*content.mutable_exports())["root"] = absl::StrCat(facts.root, "/content");
  plugins.push_back(content);
  for (const SnapshotterPlugin& snapshotter : facts.snapshotters) {
    plugins.push_back(MakeSnapshotter(snapshotter));
  }
  Plugin metadata = MakePlugin("io.containerd.metadata.v1", "bolt", OnPlatform::kAny,
                               {"io.containerd.content.v1", "io.containerd.snapshotter.v1"});
  (*metadata.mutable_exports())["path"] = absl::StrCat(facts.root, "/metadata.db");
  plugins.push_back(metadata);
  plugins.push_back(MakePlugin("io.containerd.differ.v1", "walking", OnPlatform::kHost,
                               {"io.containerd.metadata.v1"}));
  plugins.push_back(MakePlugin("io.containerd.event.v1", "exchange", OnPlatform::kAny));
  plugins.push_back(MakePlugin("io.containerd.gc.v1", "scheduler", OnPlatform::kAny,
                               {"io.containerd.metadata.v1"}));
  plugins.push_back(MakePlugin("io.containerd.lease.v1", "manager", OnPlatform::kAny,
                               {"io.containerd.metadata.v1"}));
  plugins.push_back(MakePlugin("io.containerd.runtime.v2", "task", OnPlatform::kHost,
                               {"io.containerd.event.v1", "io.containerd.metadata.v1"}));
  for (const std::string& service : facts.services) {
    plugins.push_back(MakePlugin("io.containerd.grpc.v1", service, OnPlatform::kAny));
  }
  return plugins;
}

}  // namespace berth
