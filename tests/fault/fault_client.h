// The calls that the harness makes as a client of one daemon's life: stubs, namespace, deadline.
//
// Invariant: a call never outlasts its deadline, so a daemon that is killed under it is an error
// and no hang. Thread-safe. Owned by the harness's main, one for each daemon.
#ifndef BERTH_TESTS_FAULT_FAULT_CLIENT_H_
#define BERTH_TESTS_FAULT_FAULT_CLIENT_H_

#include <grpcpp/grpcpp.h>

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "base/grpc/status_conversion.h"
#include "base/os/mutex.h"
#include "proto/berth/care/v1/care.grpc.pb.h"
#include "proto/containerd/services/containers/v1/containers.grpc.pb.h"
#include "proto/containerd/services/content/v1/content.grpc.pb.h"
#include "proto/containerd/services/diff/v1/diff.grpc.pb.h"
#include "proto/containerd/services/events/v1/events.grpc.pb.h"
#include "proto/containerd/services/images/v1/images.grpc.pb.h"
#include "proto/containerd/services/leases/v1/leases.grpc.pb.h"
#include "proto/containerd/services/namespaces/v1/namespaces.grpc.pb.h"
#include "proto/containerd/services/snapshots/v1/snapshots.grpc.pb.h"
#include "proto/containerd/services/tasks/v1/tasks.grpc.pb.h"
#include "proto/containerd/services/version/v1/version.grpc.pb.h"

namespace berth::fault {

namespace containers = containerd::services::containers::v1;
namespace content = containerd::services::content::v1;
namespace diff = containerd::services::diff::v1;
namespace events = containerd::services::events::v1;
namespace images = containerd::services::images::v1;
namespace leases = containerd::services::leases::v1;
namespace namespaces = containerd::services::namespaces::v1;
namespace snapshots = containerd::services::snapshots::v1;
namespace tasks = containerd::services::tasks::v1;

inline constexpr absl::Duration kCallTimeout = absl::Seconds(15);
inline constexpr char kSnapshotter[] = "overlayfs";
inline constexpr char kBase[] = "fault-base";  // the committed snapshot that containers stand on

struct TaskEvent {
  std::string topic;
  std::string container;
  std::string process;
  uint32_t status = 0;
};

// The ends of processes that any daemon of this root published, each once, as a subscriber hears of
// them that resumes where the last one was cut off. Thread-safe; outlives the clients that fill it.
class EventHistory {
 public:
  // Where the next subscription begins.
  std::string cursor() const;
  // In order; `event` may be of no interest.
  void Add(std::string cursor, const std::optional<TaskEvent>& event);
  // The log could not tell of some events: a finding.
  void AddGap(std::string description);
  std::vector<TaskEvent> Of(const std::string& container) const;
  std::vector<std::string> TakeGaps();
  // What a finding may be explained by: ends of subscriptions, slow calls. The last kNotes.
  void Note(absl::string_view text);
  std::string Notes() const;

 private:
  static constexpr size_t kNotes = 24;

  mutable Mutex mutex_;
  std::deque<std::string> notes_ ABSL_GUARDED_BY(mutex_);
  std::string cursor_ ABSL_GUARDED_BY(mutex_) = "oldest";
  std::vector<TaskEvent> events_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> gaps_ ABSL_GUARDED_BY(mutex_);
};

class FaultClient {
 public:
  // `history` outlives it.
  FaultClient(absl::string_view socket, absl::string_view ns, EventHistory& history);
  ~FaultClient();

  const std::string& ns() const { return ns_; }

  template <typename Stub, typename Request, typename Response>
  absl::Status Call(Stub& stub,
                    grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                    const Request& request, Response* response, absl::string_view lease = "",
                    absl::Duration timeout = kCallTimeout) {
    grpc::ClientContext context;
    Prepare(context, lease, timeout);
    const absl::Time began = absl::Now();
    absl::Status status = FromGrpc((stub.*method)(&context, request, response));
    NoteCall(request.GetTypeName(), absl::Now() - began, status);
    return status;
  }
  // What of calls and subscriptions may explain a finding.
  std::string Notes() const { return history_.Notes(); }
  // Uploads `bytes` as a blob; ALREADY_EXISTS is success. The answer is its digest.
  absl::StatusOr<std::string> WriteBlob(
      absl::string_view ref, const std::string& bytes, absl::string_view lease,
      const std::vector<std::pair<std::string, std::string>>& labels = {});
  absl::StatusOr<uint32_t> Wait(const std::string& container, const std::string& exec_id,
                                absl::Duration timeout);
  std::vector<TaskEvent> Events(const std::string& container) const {
    return history_.Of(container);
  }
  // Every name of every kind of object in the namespace, "kind name".
  absl::StatusOr<std::vector<std::string>> Names();

  care::v1::Care::Stub care_stub;
  containers::Containers::Stub containers_stub;
  content::Content::Stub content_stub;
  diff::Diff::Stub diff_stub;
  events::Events::Stub events_stub;
  images::Images::Stub images_stub;
  leases::Leases::Stub leases_stub;
  namespaces::Namespaces::Stub namespaces_stub;
  snapshots::Snapshots::Stub snapshots_stub;
  tasks::Tasks::Stub tasks_stub;
  containerd::services::version::v1::Version::Stub version_stub;

 private:
  FaultClient(std::shared_ptr<grpc::Channel> channel, absl::string_view ns, EventHistory& history);
  void Prepare(grpc::ClientContext& context, absl::string_view lease, absl::Duration timeout) const;
  void NoteCall(absl::string_view what, absl::Duration took, const absl::Status& status);
  void Listen();
  // Until the stream ends.
  void ListenOnce(grpc::ClientContext& context);

  const std::string ns_;
  EventHistory& history_;
  Notification gone_;
  Mutex mutex_;
  std::unique_ptr<grpc::ClientContext> listening_ ABSL_GUARDED_BY(mutex_);
  std::thread listener_;
};

}  // namespace berth::fault

#endif  // BERTH_TESTS_FAULT_FAULT_CLIENT_H_
