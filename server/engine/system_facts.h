// Docker's documents of the engine as a whole. Reads the machine's files. Thread-safe functions.
#ifndef BERTH_SERVER_ENGINE_SYSTEM_FACTS_H_
#define BERTH_SERVER_ENGINE_SYSTEM_FACTS_H_

#include <string>

#include "absl/status/statusor.h"
#include "proto/berth/engine/v1/system.pb.h"

namespace berth::engine {

class Engine;

absl::StatusOr<v1::InfoResponse> DescribeEngine(Engine& engine, const std::string& ns);
v1::EngineVersionResponse DescribeVersion(Engine& engine);
absl::StatusOr<v1::DiskUsageResponse> MeasureDisk(Engine& engine, const std::string& ns,
                                                  const v1::DiskUsageRequest& request);
absl::StatusOr<v1::PruneImagesResponse> PruneImages(Engine& engine, const std::string& ns,
                                                    const v1::PruneImagesRequest& request);

}  // namespace berth::engine

#endif  // BERTH_SERVER_ENGINE_SYSTEM_FACTS_H_
