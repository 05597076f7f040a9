// Docker's document of a container: the field names are an interface that scripts rely on.
// Pure function.
#ifndef BERTH_SERVER_ENGINE_INSPECT_DOCUMENT_H_
#define BERTH_SERVER_ENGINE_INSPECT_DOCUMENT_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "proto/berth/engine/v1/record.pb.h"
#include "proto/berth/shim/v1/supervisor.pb.h"

namespace berth::engine {

struct InspectInput {
  std::string id;
  v1::Container container;
  std::vector<std::string> exec_ids;
  std::optional<shim::v1::Health> health;
  std::optional<int64_t> size_rw_bytes;
  std::optional<int64_t> size_root_bytes;
  // Of the root: key and value, as Docker's GraphDriver.Data has them.
  std::vector<std::pair<std::string, std::string>> graph_data;
};

std::string InspectDocument(const InspectInput& input);

}  // namespace berth::engine

#endif  // BERTH_SERVER_ENGINE_INSPECT_DOCUMENT_H_
