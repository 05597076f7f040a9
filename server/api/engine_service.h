// berth.engine.v1.Engine over gRPC: reads the call's headers and passes it to the engine, which
// holds no thread while a call waits. Thread-safe; owned by server/main.
#ifndef BERTH_SERVER_API_ENGINE_SERVICE_H_
#define BERTH_SERVER_API_ENGINE_SERVICE_H_

#include "proto/berth/engine/v1/engine.grpc.pb.h"

namespace berth {

class EngineService final : public engine::v1::Engine::CallbackService {};

}  // namespace berth

#endif  // BERTH_SERVER_API_ENGINE_SERVICE_H_
