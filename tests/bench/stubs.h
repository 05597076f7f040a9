// One server's gRPC stubs and how the bench calls them.
//
// Thread-safe once made; owned by Server.
#ifndef BERTH_TESTS_BENCH_STUBS_H_
#define BERTH_TESTS_BENCH_STUBS_H_

#include <grpcpp/grpcpp.h>

#include <memory>

#include "absl/status/status.h"
#include "absl/time/clock.h"
#include "base/grpc/status_conversion.h"
#include "proto/containerd/services/containers/v1/containers.grpc.pb.h"
#include "proto/containerd/services/content/v1/content.grpc.pb.h"
#include "proto/containerd/services/events/v1/events.grpc.pb.h"
#include "proto/containerd/services/namespaces/v1/namespaces.grpc.pb.h"
#include "proto/containerd/services/snapshots/v1/snapshots.grpc.pb.h"
#include "proto/containerd/services/tasks/v1/tasks.grpc.pb.h"
#include "proto/containerd/services/version/v1/version.grpc.pb.h"

namespace berth::bench {

inline constexpr char kNamespace[] = "bench";
inline constexpr absl::Duration kCallTimeout = absl::Seconds(60);

// A call's context with the namespace and a deadline.
struct Context {
  Context() {
    context.AddMetadata("containerd-namespace", kNamespace);
    context.set_deadline(absl::ToChronoTime(absl::Now() + kCallTimeout));
  }
  grpc::ClientContext context;
};

// One blocking call: stub, method, request, response.
template <typename Stub, typename Request, typename Response>
absl::Status Call(Stub& stub,
                  grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                  const Request& request, Response* response) {
  Context context;
  return FromGrpc((stub.*method)(&context.context, request, response));
}

struct Stubs {
  explicit Stubs(std::shared_ptr<grpc::Channel> channel)
      : containers(channel),
        content(channel),
        events(channel),
        namespaces(channel),
        snapshots(channel),
        tasks(channel),
        version(channel) {}
  containerd::services::containers::v1::Containers::Stub containers;
  containerd::services::content::v1::Content::Stub content;
  containerd::services::events::v1::Events::Stub events;
  containerd::services::namespaces::v1::Namespaces::Stub namespaces;
  containerd::services::snapshots::v1::Snapshots::Stub snapshots;
  containerd::services::tasks::v1::Tasks::Stub tasks;
  containerd::services::version::v1::Version::Stub version;
};

}  // namespace berth::bench

#endif  // BERTH_TESTS_BENCH_STUBS_H_
