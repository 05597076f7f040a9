// Records of the API as JSON documents, for `inspect` and `info`. Pure functions.
#ifndef BERTH_CLIENT_COMMANDS_DOCUMENTS_H_
#define BERTH_CLIENT_COMMANDS_DOCUMENTS_H_

#include <google/protobuf/map.h>

#include <string>

#include "client/sdk/container_client.h"
#include "client/sdk/image_reader.h"
#include "client/sdk/json_access.h"
#include "client/sdk/snapshot_client.h"
#include "proto/containerd/types/task.pb.h"

namespace berth::client {

Json LabelsDocument(const google::protobuf::Map<std::string, std::string>& labels);
Json ContainerDocument(const ContainerRecord& container);  // with its spec
Json TaskDocument(const containerd::v1::types::Process& task);
Json ImageDocument(const ResolvedImage& image);
Json SnapshotDocument(const SnapshotInfo& snapshot);

// "view", "active", "committed".
std::string SnapshotKindName(containerd::services::snapshots::v1::Kind kind);

}  // namespace berth::client

#endif  // BERTH_CLIENT_COMMANDS_DOCUMENTS_H_
