// How much disk containers take. Thread-safe functions that read trees: slow.
#ifndef BERTH_SERVER_ENGINE_SIZES_H_
#define BERTH_SERVER_ENGINE_SIZES_H_

#include <cstdint>

#include "server/engine/container_table.h"

namespace berth::engine {

class Engine;

// Of what the container wrote; 0 when that cannot be told.
int64_t WritableBytes(Engine& engine, const ContainerKey& key);
// Of the layers below that.
int64_t ImageBytes(Engine& engine, const ContainerKey& key);

}  // namespace berth::engine

#endif  // BERTH_SERVER_ENGINE_SIZES_H_
