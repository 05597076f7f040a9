// Serves Logs: batches of a container's log, and with `follow` what is written from then on, until
// the container has ended. Holds no thread while there is nothing to read or the client is slow.
// Thread-safe function; each call's reactor owns itself.
#ifndef BERTH_SERVER_API_LOGS_REACTOR_H_
#define BERTH_SERVER_API_LOGS_REACTOR_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include "base/grpc/executor.h"
#include "proto/berth/engine/v1/view.pb.h"
#include "server/engine/engine.h"

namespace berth {

grpc::ServerWriteReactor<engine::v1::LogsResponse>* ServeLogs(
    grpc::CallbackServerContext* context, engine::Engine& engine, Executor& executor,
    const engine::v1::LogsRequest* request);

}  // namespace berth

#endif  // BERTH_SERVER_API_LOGS_REACTOR_H_
