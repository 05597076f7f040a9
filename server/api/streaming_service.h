// containerd.services.streaming.v1.Streaming: named streams of messages, which the Transfer service
// uses for progress, archives and credentials.
//
// A client's first message names the stream, an empty one answers it; from then on the stream is in
// the table, until the client goes or whoever uses it closes it. No thread waits for a message.
// Thread-safe; owned by server/main.
#ifndef BERTH_SERVER_API_STREAMING_SERVICE_H_
#define BERTH_SERVER_API_STREAMING_SERVICE_H_

#include "proto/containerd/services/streaming/v1/streaming.grpc.pb.h"
#include "server/image/message_stream.h"

namespace berth {

class StreamingService final
    : public containerd::services::streaming::v1::Streaming::CallbackService {
 public:
  using Any = google::protobuf::Any;

  explicit StreamingService(image::StreamTable& streams) : streams_(streams) {}

  grpc::ServerBidiReactor<Any, Any>* Stream(grpc::CallbackServerContext* context) override;

 private:
  image::StreamTable& streams_;
};

}  // namespace berth

#endif  // BERTH_SERVER_API_STREAMING_SERVICE_H_
