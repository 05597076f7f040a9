#include "server/api/events_service.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "base/grpc/server_stream.h"
#include "base/grpc/unary.h"

namespace berth {
namespace {

namespace api = containerd::services::events::v1;

// Between the subscription's queue, which has the bounds that count, and gRPC.
constexpr size_t kStreamQueueLimit = 8192;

// Moves events from a subscription to its stream. Publishers call it from any thread, so that one
// of them at a time may move, or the order would be lost.
class Pump : public std::enable_shared_from_this<Pump> {
 public:
  explicit Pump(StreamSink<api::Envelope> sink) : sink_(std::move(sink)) {}

  void Attach(std::shared_ptr<Subscription> subscription) {
    {
      absl::MutexLock lock(&mutex_);
      subscription_ = std::move(subscription);
    }
    Move();  // what came before we had the subscription
  }
  void Detach() {
    std::shared_ptr<Subscription> gone;
    absl::MutexLock lock(&mutex_);
    gone = std::move(subscription_);
  }
  void Move() {
    absl::MutexLock lock(&mutex_);
    while (subscription_ != nullptr) {
      auto next = subscription_->Next();
      if (!next.ok()) {
        sink_.Close(next.status());
        subscription_ = nullptr;
      } else if (*next == nullptr) {
        return;
      } else if (!sink_.Push(**next)) {
        subscription_ = nullptr;
      }
    }
  }

 private:
  const StreamSink<api::Envelope> sink_;
  absl::Mutex mutex_;
  std::shared_ptr<Subscription> subscription_ ABSL_GUARDED_BY(mutex_);
};

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
  return PushStream<api::Envelope>(
      context, request, kStreamQueueLimit,
      [this](const CallInfo& call, const api::SubscribeRequest& request,
             StreamSink<api::Envelope> sink) -> absl::Status {
        const auto pump = std::make_shared<Pump>(std::move(sink));
        // Weak: the subscription holds this, and the pump holds the subscription.
        auto subscription = exchange_.Subscribe(
            std::vector<std::string>(request.filters().begin(), request.filters().end()),
            [weak = std::weak_ptr<Pump>(pump)] {
              if (const auto pump = weak.lock()) pump->Move();
            });
        if (!subscription.ok()) return subscription.status();
        pump->Attach(*std::move(subscription));
        // Keeps the pump for as long as the client listens.
        call.OnCancel([pump] { pump->Detach(); });
        return absl::OkStatus();
      });
}

}  // namespace berth
