#include "client/sdk/message_stream.h"

#include "absl/strings/str_cat.h"
#include "client/sdk/random_id.h"
#include "client/sdk/stubs.h"

namespace berth::client {

absl::StatusOr<std::unique_ptr<MessageStream>> MessageStream::Open(const Connection& connection,
                                                                   absl::string_view purpose) {
  std::unique_ptr<MessageStream> stream(new MessageStream());
  stream->id_ = absl::StrCat(purpose, "-", RandomId());
  connection.Prepare(stream->context_, absl::InfiniteDuration());
  stream->stream_ = connection.stubs().streaming->Stream(&stream->context_);
  containerd::services::streaming::v1::StreamInit init;
  init.set_id(stream->id_);
  Any acknowledgement;
  if (!stream->Write(PackAny(init)) || !stream->Read(acknowledgement)) {
    return connection.ToStatus(stream->stream_->Finish());
  }
  return stream;
}

MessageStream::~MessageStream() { context_.TryCancel(); }

}  // namespace berth::client
