// containerd.services.events.v1.Events over gRPC. Subscribe needs no namespace: filters choose.
// With the header "berth-event-cursor" it resumes, and tells cursors and gaps
// (proto/berth/events/v1); without it it is containerd's call.
// Thread-safe; owned by server/main.
#ifndef BERTH_SERVER_API_EVENTS_SERVICE_H_
#define BERTH_SERVER_API_EVENTS_SERVICE_H_

#include "base/grpc/executor.h"
#include "proto/containerd/services/events/v1/events.grpc.pb.h"
#include "server/events/exchange.h"

namespace berth {

class EventsService final : public containerd::services::events::v1::Events::CallbackService {
 public:
  // `executor` reads the log for subscribers that fell behind.
  EventsService(Exchange& exchange, Executor& executor)
      : exchange_(exchange), executor_(executor) {}

  grpc::ServerUnaryReactor* Publish(grpc::CallbackServerContext* context,
                                    const containerd::services::events::v1::PublishRequest* request,
                                    google::protobuf::Empty* response) override;
  grpc::ServerUnaryReactor* Forward(grpc::CallbackServerContext* context,
                                    const containerd::services::events::v1::ForwardRequest* request,
                                    google::protobuf::Empty* response) override;
  grpc::ServerWriteReactor<containerd::services::events::v1::Envelope>* Subscribe(
      grpc::CallbackServerContext* context,
      const containerd::services::events::v1::SubscribeRequest* request) override;

 private:
  Exchange& exchange_;
  Executor& executor_;
};

}  // namespace berth

#endif  // BERTH_SERVER_API_EVENTS_SERVICE_H_
