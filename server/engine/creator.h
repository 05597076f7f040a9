// Makes containers: name, image, root, mounts, record, in an order that a crash cannot spoil.
//
// Invariant: what was made before a failing step is undone; what a killed daemon left is nameless
// for users and goes at the next start (rows without records, snapshots without references,
// directories without rows). Thread-safe. Owned by Engine.
#ifndef BERTH_SERVER_ENGINE_CREATOR_H_
#define BERTH_SERVER_ENGINE_CREATOR_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "proto/berth/engine/v1/life.pb.h"
#include "proto/berth/engine/v1/record.pb.h"
#include "server/engine/async.h"
#include "server/engine/container_records.h"
#include "server/engine/container_table.h"
#include "server/engine/engine_parts.h"
#include "server/engine/lifecycle.h"
#include "server/engine/volumes.h"
#include "server/image/image_catalog.h"

namespace berth::engine {

class Creator {
 public:
  struct Collaborators {
    const EngineParts& parts;
    ContainerTable& table;
    ContainerRecords& records;
    Volumes& volumes;
    Lifecycle& lifecycle;
  };
  explicit Creator(Collaborators with) : with_(with) {}

  Async<absl::StatusOr<v1::CreateContainerResponse>> Create(std::string ns,
                                                            v1::CreateContainerRequest request);

 private:
  using Warnings = std::vector<std::string>;
  struct Draft {
    ContainerKey key;
    v1::Container container;
    image::ResolvedImage image;
    v1::CreateContainerResponse response;
  };

  absl::StatusOr<Draft> MakeDraft(const std::string& ns, const v1::CreateContainerRequest& request);
  absl::Status ReserveName(Draft& draft, const std::string& wanted);
  absl::Status Build(Draft& draft, const std::string& lease);
  absl::Status AddVolumesFrom(Draft& draft);
  absl::Status LimitStorage(const Draft& draft);
  absl::Status ResolveMounts(Draft& draft);
  absl::Status AddVolumeMount(Draft& draft, const v1::Mount& mount);
  absl::Status AddBindMount(Draft& draft, const v1::Mount& mount);
  absl::Status AddAnonymousVolumes(Draft& draft);
  // Names in joined namespaces become ids.
  absl::Status ResolveNamespaces(Draft& draft);
  void Undo(const Draft& draft);

  const Collaborators with_;
};

}  // namespace berth::engine

#endif  // BERTH_SERVER_ENGINE_CREATOR_H_
