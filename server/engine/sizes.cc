#include "server/engine/sizes.h"

#include <string>

#include "server/engine/engine.h"
#include "server/metadata/snapshot_store.h"

namespace berth::engine {

int64_t WritableBytes(Engine& engine, const ContainerKey& key) {
  const auto container = engine.records().Load(key);
  if (!container.ok()) return 0;
  const auto usage =
      engine.parts().snapshots.GetUsage(metadata::Caller{key.ns}, container->snapshotter(), key.id);
  return usage.ok() ? static_cast<int64_t>(usage->size_bytes) : 0;
}

int64_t ImageBytes(Engine& engine, const ContainerKey& key) {
  const auto container = engine.records().Load(key);
  if (!container.ok()) return 0;
  const metadata::Caller caller{key.ns};
  auto& snapshots = engine.parts().snapshots;
  auto info = snapshots.Stat(caller, container->snapshotter(), key.id);
  int64_t bytes = 0;
  while (info.ok() && !info->parent().empty()) {
    const std::string parent = info->parent();
    const auto usage = snapshots.GetUsage(caller, container->snapshotter(), parent);
    if (usage.ok()) bytes += static_cast<int64_t>(usage->size_bytes);
    info = snapshots.Stat(caller, container->snapshotter(), parent);
  }
  return bytes;
}

}  // namespace berth::engine
