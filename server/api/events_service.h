// containerd.services.events.v1.Events over gRPC. Subscribe needs no namespace: filters choose.
// Thread-safe; owned by server/main.
#ifndef BERTH_SERVER_API_EVENTS_SERVICE_H_
#define BERTH_SERVER_API_EVENTS_SERVICE_H_

#include "proto/containerd/services/events/v1/events.grpc.pb.h"
#include "server/events/exchange.h"

namespace berth {

class EventsService final : public containerd::services::events::v1::Events::CallbackService {
 public:
  explicit EventsService(Exchange& exchange) : exchange_(exchange) {}

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
};

}  // namespace berth

#endif  // BERTH_SERVER_API_EVENTS_SERVICE_H_
