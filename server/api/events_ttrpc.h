// containerd.services.events.ttrpc.v1.Events: where shims report, on a socket beside the gRPC one.
//
// Invariant: an event that a shim sends is on the exchange before it is acknowledged, so that the
// shim may forget it. Loop-only. Owned by server/main; the exchange outlives it.
#ifndef BERTH_SERVER_API_EVENTS_TTRPC_H_
#define BERTH_SERVER_API_EVENTS_TTRPC_H_

#include "absl/status/status.h"
#include "base/loop/loop.h"
#include "base/os/unique_fd.h"
#include "base/ttrpc/server.h"
#include "server/events/exchange.h"

namespace berth {

class EventsTtrpc {
 public:
  EventsTtrpc(Loop& loop, Exchange& exchange);

  // Serves on a listening unix socket. Errors: as epoll_ctl(2).
  absl::Status Serve(UniqueFd listener) { return server_.AddListener(std::move(listener)); }

 private:
  ttrpc::Server server_;
};

}  // namespace berth

#endif  // BERTH_SERVER_API_EVENTS_TTRPC_H_
