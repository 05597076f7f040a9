#include "tests/fault/fault_client.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/digest/hasher.h"
#include "base/status/status_macros.h"
#include "proto/berth/events/v1/events.pb.h"
#include "proto/containerd/events/task.pb.h"

namespace berth::fault {
namespace {

constexpr absl::Duration kSlowCall = absl::Milliseconds(500);
constexpr absl::Duration kListenAgain = absl::Milliseconds(50);

std::shared_ptr<grpc::Channel> Connect(absl::string_view socket) {
  grpc::ChannelArguments arguments;
  // A channel of an earlier daemon must not make this one wait before it connects.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return grpc::CreateCustomChannel(absl::StrCat("unix://", socket),
                                   grpc::InsecureChannelCredentials(), arguments);
}

std::optional<TaskEvent> EndOfProcess(const events::Envelope& envelope) {
  TaskEvent event;
  event.topic = envelope.topic();
  if (event.topic == "/tasks/exit") {
    containerd::events::TaskExit exit;
    exit.ParseFromString(envelope.event().value());
    event.container = exit.container_id();
    event.process = exit.id();
    event.status = exit.exit_status();
    return event;
  }
  if (event.topic == "/tasks/delete") {
    containerd::events::TaskDelete removed;
    removed.ParseFromString(envelope.event().value());
    event.container = removed.container_id();
    event.process = removed.id();
    event.status = removed.exit_status();
    return event;
  }
  return std::nullopt;
}

template <typename Reader, typename Message, typename Each>
absl::Status ReadAllOf(Reader reader, Message message, Each each) {
  while (reader->Read(&message)) each(message);
  return FromGrpc(reader->Finish());
}

}  // namespace

std::string EventHistory::cursor() const {
  const MutexLock lock(&mutex_);
  return cursor_;
}

void EventHistory::Add(std::string cursor, const std::optional<TaskEvent>& event) {
  const MutexLock lock(&mutex_);
  cursor_ = std::move(cursor);
  if (event.has_value()) events_.push_back(*event);
}

void EventHistory::AddGap(std::string description) {
  const MutexLock lock(&mutex_);
  gaps_.push_back(std::move(description));
}

std::vector<TaskEvent> EventHistory::Of(const std::string& container) const {
  const MutexLock lock(&mutex_);
  std::vector<TaskEvent> found;
  std::copy_if(events_.begin(), events_.end(), std::back_inserter(found),
               [&](const TaskEvent& event) { return event.container == container; });
  return found;
}

std::vector<std::string> EventHistory::TakeGaps() {
  const MutexLock lock(&mutex_);
  return std::exchange(gaps_, {});
}

void EventHistory::Note(absl::string_view text) {
  const MutexLock lock(&mutex_);
  notes_.push_back(
      absl::StrCat(absl::FormatTime("%H:%M:%E3S ", absl::Now(), absl::UTCTimeZone()), text));
  if (notes_.size() > kNotes) notes_.pop_front();
}

std::string EventHistory::Notes() const {
  const MutexLock lock(&mutex_);
  return absl::StrJoin(notes_, "; ");
}

FaultClient::FaultClient(absl::string_view socket, absl::string_view ns, EventHistory& history)
    : FaultClient(Connect(socket), ns, history) {}

FaultClient::FaultClient(std::shared_ptr<grpc::Channel> channel, absl::string_view ns,
                         EventHistory& history)
    : care_stub(channel),
      containers_stub(channel),
      content_stub(channel),
      diff_stub(channel),
      events_stub(channel),
      images_stub(channel),
      leases_stub(channel),
      namespaces_stub(channel),
      snapshots_stub(channel),
      tasks_stub(channel),
      version_stub(channel),
      ns_(ns),
      history_(history),
      listener_([this] { Listen(); }) {}

FaultClient::~FaultClient() {
  gone_.Notify();
  {
    const MutexLock lock(&mutex_);
    if (listening_ != nullptr) listening_->TryCancel();
  }
  listener_.join();
}

void FaultClient::Prepare(grpc::ClientContext& context, absl::string_view lease,
                          absl::Duration timeout) const {
  context.AddMetadata("containerd-namespace", ns_);
  if (!lease.empty()) context.AddMetadata("containerd-lease", std::string(lease));
  context.set_deadline(absl::ToChronoTime(absl::Now() + timeout));
}

void FaultClient::NoteCall(absl::string_view what, absl::Duration took,
                           const absl::Status& status) {
  if (took < kSlowCall && !absl::IsUnavailable(status)) return;
  history_.Note(absl::StrCat(what, " took ", absl::FormatDuration(took), ": ", status.ToString()));
}

// A first connection that fails, or a daemon that was killed, ends the stream: the next one goes on
// where it broke off.
void FaultClient::Listen() {
  do {
    grpc::ClientContext* context = nullptr;
    {
      const MutexLock lock(&mutex_);
      listening_ = std::make_unique<grpc::ClientContext>();
      context = listening_.get();
    }
    if (gone_.HasBeenNotified()) return;  // or it would not be cancelled
    ListenOnce(*context);
  } while (!gone_.WaitForNotificationWithTimeout(kListenAgain));
}

void FaultClient::ListenOnce(grpc::ClientContext& context) {
  context.AddMetadata("berth-event-cursor", history_.cursor());
  const auto reader = events_stub.Subscribe(&context, events::SubscribeRequest());
  reader->WaitForInitialMetadata();
  history_.Note(absl::StrCat("listens from ", history_.cursor()));
  events::Envelope envelope;
  while (reader->Read(&envelope)) {
    // The cursor is a field that containerd's message does not have.
    berth::events::v1::ResumableEnvelope resumable;
    resumable.ParseFromString(envelope.SerializeAsString());
    if (envelope.topic() == "/berth/events/gap") {
      berth::events::v1::Gap gap;
      gap.ParseFromString(envelope.event().value());
      history_.AddGap(gap.ShortDebugString());
    }
    const bool ours = envelope.namespace_() == ns_;
    history_.Add(resumable.cursor(), ours ? EndOfProcess(envelope) : std::nullopt);
  }
  const absl::Status end = FromGrpc(reader->Finish());  // the daemon was killed
  history_.Note(absl::StrCat("listened until ", history_.cursor(), ": ", end.ToString()));
}

absl::StatusOr<std::string> FaultClient::WriteBlob(
    absl::string_view ref, const std::string& bytes, absl::string_view lease,
    const std::vector<std::pair<std::string, std::string>>& labels) {
  const std::string digest = HashString(bytes).text();
  grpc::ClientContext context;
  Prepare(context, lease, kCallTimeout);
  const auto stream = content_stub.Write(&context);
  content::WriteContentRequest request;
  request.set_action(content::WRITE);
  request.set_ref(std::string(ref));
  request.set_total(static_cast<int64_t>(bytes.size()));
  request.set_expected(digest);
  content::WriteContentResponse response;
  // The upload of a daemon that was killed is gone on with.
  content::WriteContentRequest status = request;
  status.set_action(content::STAT);
  if (stream->Write(status) && stream->Read(&response)) {
    size_t offset = static_cast<size_t>(response.offset());
    while (offset < bytes.size()) {
      const size_t size = std::min<size_t>(bytes.size() - offset, 16u << 10);
      request.set_offset(static_cast<int64_t>(offset));
      request.set_data(bytes.substr(offset, size));
      if (!stream->Write(request) || !stream->Read(&response)) break;
      offset += size;
    }
    request.clear_data();
    request.set_action(content::COMMIT);
    request.set_offset(static_cast<int64_t>(bytes.size()));
    for (const auto& [key, value] : labels) (*request.mutable_labels())[key] = value;
    if (stream->Write(request)) stream->Read(&response);
  }
  stream->WritesDone();
  const absl::Status written = FromGrpc(stream->Finish());
  if (!written.ok() && !absl::IsAlreadyExists(written)) return written;
  return digest;
}

absl::StatusOr<uint32_t> FaultClient::Wait(const std::string& container, const std::string& exec_id,
                                           absl::Duration timeout) {
  tasks::WaitRequest request;
  request.set_container_id(container);
  request.set_exec_id(exec_id);
  tasks::WaitResponse response;
  BERTH_RETURN_IF_ERROR(
      Call(tasks_stub, &tasks::Tasks::Stub::Wait, request, &response, "", timeout));
  return response.exit_status();
}

absl::StatusOr<std::vector<std::string>> FaultClient::Names() {
  std::vector<std::string> names;
  const auto add = [&](absl::string_view kind, const std::string& name) {
    names.push_back(absl::StrCat(kind, " ", name));
  };
  containers::ListContainersResponse all_containers;
  BERTH_RETURN_IF_ERROR(Call(containers_stub, &containers::Containers::Stub::List,
                             containers::ListContainersRequest(), &all_containers));
  for (const auto& one : all_containers.containers()) add("container", one.id());
  tasks::ListTasksResponse all_tasks;
  BERTH_RETURN_IF_ERROR(
      Call(tasks_stub, &tasks::Tasks::Stub::List, tasks::ListTasksRequest(), &all_tasks));
  for (const auto& one : all_tasks.tasks()) add("task", one.id());
  images::ListImagesResponse all_images;
  BERTH_RETURN_IF_ERROR(
      Call(images_stub, &images::Images::Stub::List, images::ListImagesRequest(), &all_images));
  for (const auto& one : all_images.images()) add("image", one.name());
  leases::ListResponse all_leases;
  BERTH_RETURN_IF_ERROR(
      Call(leases_stub, &leases::Leases::Stub::List, leases::ListRequest(), &all_leases));
  for (const auto& one : all_leases.leases()) add("lease", one.id());
  content::ListStatusesResponse uploads;
  BERTH_RETURN_IF_ERROR(Call(content_stub, &content::Content::Stub::ListStatuses,
                             content::ListStatusesRequest(), &uploads));
  for (const auto& one : uploads.statuses()) add("ingest", one.ref());

  grpc::ClientContext of_content, of_snapshots;
  Prepare(of_content, "", kCallTimeout);
  Prepare(of_snapshots, "", kCallTimeout);
  BERTH_RETURN_IF_ERROR(ReadAllOf(content_stub.List(&of_content, content::ListContentRequest()),
                                  content::ListContentResponse(),
                                  [&](const content::ListContentResponse& part) {
                                    for (const auto& one : part.info()) add("blob", one.digest());
                                  }));
  snapshots::ListSnapshotsRequest list;
  list.set_snapshotter(kSnapshotter);
  BERTH_RETURN_IF_ERROR(ReadAllOf(snapshots_stub.List(&of_snapshots, list),
                                  snapshots::ListSnapshotsResponse(),
                                  [&](const snapshots::ListSnapshotsResponse& part) {
                                    for (const auto& one : part.info()) add("snapshot", one.name());
                                  }));
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace berth::fault
