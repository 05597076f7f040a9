// The engine's view of containers' records: what it stores in the extension, joined with its row.
//
// Thread-safe; all calls block. Owned by Engine.
#ifndef BERTH_SERVER_ENGINE_CONTAINER_RECORDS_H_
#define BERTH_SERVER_ENGINE_CONTAINER_RECORDS_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "proto/berth/engine/v1/record.pb.h"
#include "proto/berth/engine/v1/view.pb.h"
#include "server/engine/container_table.h"
#include "server/engine/engine_parts.h"

namespace berth::engine {

inline constexpr char kExtension[] = "berth.engine.v1.Container";
inline constexpr char kNameLabel[] = "berth.io/name";

class ContainerRecords {
 public:
  ContainerRecords(const EngineParts& parts, ContainerTable& table)
      : parts_(parts), table_(table) {}

  // With name and state. Errors: NOT_FOUND; FAILED_PRECONDITION for a container that another client
  // made.
  absl::StatusOr<v1::Container> Load(const ContainerKey& key);
  // Makes the record of a new container with its spec; the row is there.
  absl::Status Create(const ContainerKey& key, const v1::Container& container,
                      const std::string& spec_json);
  // Replaces extension, labels and what lists show.
  absl::Status Save(const ContainerKey& key, const v1::Container& container);
  absl::Status SaveSpec(const ContainerKey& key, const std::string& spec_json);
  absl::Status Delete(const ContainerKey& key);

  std::string DirectoryOf(const ContainerKey& key) const;

 private:
  const EngineParts& parts_;
  ContainerTable& table_;
};

// What a list shows, without name, state and status.
v1::ContainerSummary SummaryOf(absl::string_view id, const v1::Container& container);

}  // namespace berth::engine

#endif  // BERTH_SERVER_ENGINE_CONTAINER_RECORDS_H_
