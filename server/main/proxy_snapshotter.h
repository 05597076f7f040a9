// A snapshotter in another process, reached by containerd.services.snapshots.v1 over a unix socket
// (the configuration's proxy_plugins).
//
// Its records are its own, so they cannot change in one transaction with ours: a snapshot is made
// there first and undone there when our record fails, and removed there last. What a crash leaves
// between the two is there and not here, and goes as any backend's leftovers do.
//
// Invariant: every call has a deadline. Thread-safe; calls block. Made here, owned by Storage; the
// database outlives it.
#ifndef BERTH_SERVER_MAIN_PROXY_SNAPSHOTTER_H_
#define BERTH_SERVER_MAIN_PROXY_SNAPSHOTTER_H_

#include <memory>
#include <string>

#include "base/sqlite/database.h"
#include "snapshotter/api/snapshotter.h"

namespace berth {

struct ProxyAddress {
  std::string name;         // what clients call it
  std::string socket;       // its path
  std::string snapshotter;  // what the other process is asked for
};

// The socket is connected when it is first needed, and again whenever it breaks: UNAVAILABLE until
// then.
std::unique_ptr<snapshots::Snapshotter> MakeProxySnapshotter(ProxyAddress address,
                                                             sqlite::Database& database);

}  // namespace berth

#endif  // BERTH_SERVER_MAIN_PROXY_SNAPSHOTTER_H_
