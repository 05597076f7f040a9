#include "server/api/events_service.h"

#include <google/protobuf/unknown_field_set.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "base/grpc/server_stream.h"
#include "base/grpc/unary.h"
#include "base/os/mutex.h"
#include "base/status/status_macros.h"

namespace berth {
namespace {

namespace api = containerd::services::events::v1;

// Between the subscription's queue, which has the bounds that count, and gRPC.
constexpr size_t kStreamQueueLimit = 64;
// What a subscriber sends to be told cursors, and where to begin.
constexpr char kCursorHeader[] = "berth-event-cursor";
// ResumableEnvelope.cursor (proto/berth/events/v1).
constexpr int kCursorField = 1000;

// Moves events from a subscription to its stream, as fast as the client takes them. Publishers call
// it from any thread, and gRPC from inside a Push: one caller at a time moves, and goes round once
// more for the others, or the order would be lost.
class Pump : public std::enable_shared_from_this<Pump> {
 public:
  enum class Cursors { kNone, kTold };
  Pump(StreamSink<api::Envelope> sink, Executor& executor, Cursors cursors)
      : sink_(std::move(sink)), executor_(executor), cursors_(cursors) {}

  void Attach(std::shared_ptr<Subscription> subscription) {
    {
      MutexLock lock(&mutex_);
      subscription_ = std::move(subscription);
    }
    Move();  // what came before we had the subscription
  }
  void Detach() {
    std::shared_ptr<Subscription> gone;
    MutexLock lock(&mutex_);
    gone = std::move(subscription_);
  }
  void Move() {
    MutexLock lock(&mutex_);
    again_ = true;
    if (moving_) return;
    moving_ = true;
    while (again_ && subscription_ != nullptr) {
      again_ = false;
      const std::shared_ptr<Subscription> subscription = subscription_;
      mutex_.Unlock();
      const bool goes_on = MoveFrom(*subscription);
      mutex_.Lock();
      if (!goes_on) subscription_ = nullptr;
    }
    moving_ = false;
  }

 private:
  // False when the stream is over.
  bool MoveFrom(Subscription& subscription) {
    while (sink_.HasRoom()) {
      const auto next = subscription.NextEvent();
      if (!next.ok()) {
        sink_.Close(next.status());
        return false;
      }
      if (next->envelope == nullptr) {
        if (subscription.IsBehind()) CatchUp();
        return true;
      }
      api::Envelope envelope = *next->envelope;
      if (cursors_ == Cursors::kTold) {
        envelope.GetReflection()->MutableUnknownFields(&envelope)->AddLengthDelimited(
            kCursorField, next->cursor.ToString());
      }
      if (!sink_.Push(std::move(envelope))) return false;
    }
    return true;
  }
  // The log is read elsewhere: this may be a publisher's thread.
  void CatchUp() {
    {
      MutexLock lock(&mutex_);
      if (std::exchange(catching_up_, true)) return;
    }
    executor_.PostContinuation([self = shared_from_this()] {
      std::shared_ptr<Subscription> subscription;
      {
        MutexLock lock(&self->mutex_);
        subscription = self->subscription_;
      }
      if (subscription != nullptr) subscription->CatchUp();
      {
        MutexLock lock(&self->mutex_);
        self->catching_up_ = false;
      }
      self->Move();
    });
  }

  const StreamSink<api::Envelope> sink_;
  Executor& executor_;
  const Cursors cursors_;
  Mutex mutex_;
  std::shared_ptr<Subscription> subscription_ ABSL_GUARDED_BY(mutex_);
  bool moving_ ABSL_GUARDED_BY(mutex_) = false;
  bool again_ ABSL_GUARDED_BY(mutex_) = false;  // somebody came while another moved
  bool catching_up_ ABSL_GUARDED_BY(mutex_) = false;
};

// What the header says; nothing where the client did not send it.
absl::StatusOr<std::optional<EventCursor>> RequestedCursor(
    const grpc::CallbackServerContext& context, const Exchange& exchange) {
  const auto& headers = context.client_metadata();
  const auto header = headers.find(kCursorHeader);
  if (header == headers.end()) return std::optional<EventCursor>();
  const absl::string_view value(header->second.data(), header->second.size());
  if (value == "now") return std::optional<EventCursor>(exchange.last());
  if (value == "oldest") return std::optional<EventCursor>(exchange.oldest());
  BERTH_ASSIGN_OR_RETURN(const EventCursor cursor, EventCursor::Parse(value));
  return std::optional<EventCursor>(cursor);
}

}  // namespace

grpc::ServerUnaryReactor* EventsService::Publish(grpc::CallbackServerContext* context,
                                                 const api::PublishRequest* request,
                                                 google::protobuf::Empty* response) {
  return UnaryAsync(context, request, response,
                    [this](const CallInfo& call, const api::PublishRequest& request,
                           Done<google::protobuf::Empty> done) {
                      absl::Status status = call.RequireNamespace();
                      if (status.ok()) {
                        status = exchange_.PublishAny(call.ns, request.topic(), request.event());
                      }
                      if (!status.ok()) return done(status);
                      done(google::protobuf::Empty());
                    });
}

grpc::ServerUnaryReactor* EventsService::Forward(grpc::CallbackServerContext* context,
                                                 const api::ForwardRequest* request,
                                                 google::protobuf::Empty* response) {
  return UnaryAsync(context, request, response,
                    [this](const CallInfo&, const api::ForwardRequest& request,
                           Done<google::protobuf::Empty> done) {
                      const absl::Status status = exchange_.Forward(request.envelope());
                      if (!status.ok()) return done(status);
                      done(google::protobuf::Empty());
                    });
}

grpc::ServerWriteReactor<api::Envelope>* EventsService::Subscribe(
    grpc::CallbackServerContext* context, const api::SubscribeRequest* request) {
  const absl::StatusOr<std::optional<EventCursor>> from = RequestedCursor(*context, exchange_);
  // Where one begins that has seen no event yet.
  context->AddInitialMetadata(kCursorHeader, exchange_.last().ToString());
  return PushStream<api::Envelope>(
      context, request, kStreamQueueLimit,
      [this, from](const CallInfo& call, const api::SubscribeRequest& request,
                   StreamSink<api::Envelope> sink) -> absl::Status {
        if (!from.ok()) return from.status();
        const bool resumes = from->has_value();
        const auto pump = std::make_shared<Pump>(
            sink, executor_, resumes ? Pump::Cursors::kTold : Pump::Cursors::kNone);
        // Weak: the subscription holds this, and the pump holds the subscription.
        const auto move = [weak = std::weak_ptr<Pump>(pump)] {
          if (const auto pump = weak.lock()) pump->Move();
        };
        BERTH_ASSIGN_OR_RETURN(
            std::shared_ptr<Subscription> subscription,
            exchange_.SubscribeFrom(
                std::vector<std::string>(request.filters().begin(), request.filters().end()), *from,
                resumes ? Subscription::GapPolicy::kTell : Subscription::GapPolicy::kEnd, move));
        sink.OnRoom(move);
        // Keeps the pump for as long as the client listens.
        call.OnCancel([pump] { pump->Detach(); });
        pump->Attach(std::move(subscription));
        return absl::OkStatus();
      });
}

}  // namespace berth
