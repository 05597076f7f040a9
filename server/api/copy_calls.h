// The engine's calls that carry files of a container: StatPath, CopyOut, CopyIn.
//
// Each message is made or taken on the executor, one at a time; between messages no thread is held.
// Thread-safe functions; each call's reactor owns itself.
#ifndef BERTH_SERVER_API_COPY_CALLS_H_
#define BERTH_SERVER_API_COPY_CALLS_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include "absl/status/statusor.h"
#include "base/grpc/executor.h"
#include "proto/berth/engine/v1/files.pb.h"
#include "server/engine/engine.h"
#include "server/metadata/caller.h"

namespace berth {

// Blocks.
absl::StatusOr<engine::v1::StatPathResponse> StatPathOf(engine::Engine& engine,
                                                        const metadata::Caller& caller,
                                                        const engine::v1::StatPathRequest& request);

grpc::ServerWriteReactor<engine::v1::CopyOutResponse>* ServeCopyOut(
    grpc::CallbackServerContext* context, engine::Engine& engine, Executor& executor,
    const engine::v1::CopyOutRequest* request);

grpc::ServerBidiReactor<engine::v1::CopyInRequest, engine::v1::CopyInResponse>* ServeCopyIn(
    grpc::CallbackServerContext* context, engine::Engine& engine, Executor& executor);

}  // namespace berth

#endif  // BERTH_SERVER_API_COPY_CALLS_H_
