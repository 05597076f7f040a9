// Serves Attach: the streams of a process, from the shim's attach socket to a client and back.
//
// Nothing is read from the socket while the client has not taken what was read before, and no input
// from the client while the process has not taken the last. Thread-safe function; each call's
// reactor owns itself.
#ifndef BERTH_SERVER_API_ATTACH_REACTOR_H_
#define BERTH_SERVER_API_ATTACH_REACTOR_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include "base/grpc/executor.h"
#include "proto/berth/engine/v1/exec.pb.h"
#include "server/engine/engine.h"

namespace berth {

grpc::ServerBidiReactor<engine::v1::AttachRequest, engine::v1::AttachResponse>* ServeAttach(
    grpc::CallbackServerContext* context, engine::Engine& engine, Executor& executor);

}  // namespace berth

#endif  // BERTH_SERVER_API_ATTACH_REACTOR_H_
