// One stub for each service, made once for each channel. Only this folder's sources include it: the
// generated gRPC headers are large, and callers need the messages alone. Thread-safe, as stubs are.
#ifndef BERTH_CLIENT_SDK_STUBS_H_
#define BERTH_CLIENT_SDK_STUBS_H_

#include <grpcpp/grpcpp.h>

#include <memory>

#include "proto/berth/engine/v1/engine.grpc.pb.h"
#include "proto/berth/images/v1/images.grpc.pb.h"
#include "proto/containerd/services/containers/v1/containers.grpc.pb.h"
#include "proto/containerd/services/content/v1/content.grpc.pb.h"
#include "proto/containerd/services/diff/v1/diff.grpc.pb.h"
#include "proto/containerd/services/events/v1/events.grpc.pb.h"
#include "proto/containerd/services/images/v1/images.grpc.pb.h"
#include "proto/containerd/services/introspection/v1/introspection.grpc.pb.h"
#include "proto/containerd/services/leases/v1/leases.grpc.pb.h"
#include "proto/containerd/services/namespaces/v1/namespaces.grpc.pb.h"
#include "proto/containerd/services/snapshots/v1/snapshots.grpc.pb.h"
#include "proto/containerd/services/streaming/v1/streaming.grpc.pb.h"
#include "proto/containerd/services/tasks/v1/tasks.grpc.pb.h"
#include "proto/containerd/services/transfer/v1/transfer.grpc.pb.h"
#include "proto/containerd/services/version/v1/version.grpc.pb.h"

namespace berth::client {

struct Stubs {
  explicit Stubs(const std::shared_ptr<grpc::Channel>& channel);

  std::unique_ptr<containerd::services::containers::v1::Containers::Stub> containers;
  std::unique_ptr<containerd::services::content::v1::Content::Stub> content;
  std::unique_ptr<containerd::services::diff::v1::Diff::Stub> diff;
  std::unique_ptr<::berth::engine::v1::Engine::Stub> engine;
  std::unique_ptr<containerd::services::events::v1::Events::Stub> events;
  std::unique_ptr<containerd::services::images::v1::Images::Stub> images;
  std::unique_ptr<containerd::services::introspection::v1::Introspection::Stub> introspection;
  std::unique_ptr<containerd::services::leases::v1::Leases::Stub> leases;
  std::unique_ptr<containerd::services::namespaces::v1::Namespaces::Stub> namespaces;
  std::unique_ptr<::berth::images::v1::Images::Stub> image_forms;
  std::unique_ptr<::berth::images::v1::Registries::Stub> registries;
  std::unique_ptr<containerd::services::snapshots::v1::Snapshots::Stub> snapshots;
  std::unique_ptr<containerd::services::streaming::v1::Streaming::Stub> streaming;
  std::unique_ptr<containerd::services::tasks::v1::Tasks::Stub> tasks;
  std::unique_ptr<containerd::services::transfer::v1::Transfer::Stub> transfer;
  std::unique_ptr<containerd::services::version::v1::Version::Stub> version;
};

}  // namespace berth::client

#endif  // BERTH_CLIENT_SDK_STUBS_H_
