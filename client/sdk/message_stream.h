// One stream of the Streaming service: messages to and from the server, under a name that other
// calls refer to.
//
// One thread may read while another writes. Ended by its destruction, or by Cancel from any thread.
#ifndef BERTH_CLIENT_SDK_MESSAGE_STREAM_H_
#define BERTH_CLIENT_SDK_MESSAGE_STREAM_H_

#include <grpcpp/client_context.h>

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "client/sdk/connection.h"
#include "google/protobuf/any.pb.h"
#include "proto/containerd/services/streaming/v1/streaming.grpc.pb.h"

namespace berth::client {

class MessageStream {
 public:
  using Any = google::protobuf::Any;

  // When it returns, the server knows the stream by its id. `purpose` begins the id.
  static absl::StatusOr<std::unique_ptr<MessageStream>> Open(const Connection& connection,
                                                             absl::string_view purpose);
  ~MessageStream();
  MessageStream(const MessageStream&) = delete;
  MessageStream& operator=(const MessageStream&) = delete;

  const std::string& id() const { return id_; }
  // False at the end of the stream. Block.
  bool Read(Any& message) { return stream_->Read(&message); }
  bool Write(const Any& message) { return stream_->Write(message); }
  // Nothing more will be written.
  void EndWrites() { stream_->WritesDone(); }
  void Cancel() { context_.TryCancel(); }

 private:
  MessageStream() = default;
  std::string id_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<Any, Any>> stream_;
};

template <typename Message>
google::protobuf::Any PackAny(const Message& message) {
  google::protobuf::Any any;
  any.set_type_url(Message::descriptor()->full_name());
  message.SerializeToString(any.mutable_value());
  return any;
}

// False for another message.
template <typename Message>
bool UnpackAny(const google::protobuf::Any& any, Message& message) {
  const std::string& url = any.type_url();
  return url.substr(url.rfind('/') + 1) == Message::descriptor()->full_name() &&
         message.ParseFromString(any.value());
}

}  // namespace berth::client

#endif  // BERTH_CLIENT_SDK_MESSAGE_STREAM_H_
