// Streams of messages that clients open by name (the Streaming service) and other calls use.
//
// Invariant: a stream is found by its namespace and id from the moment the client was told so until
// it ends. At most one Read is open at a time. Everything is thread-safe; callbacks run on the
// stream's own threads and must not block. A stream is shared by the service that serves it and
// whoever uses it; the table is owned by server/main.
#ifndef BERTH_SERVER_IMAGE_MESSAGE_STREAM_H_
#define BERTH_SERVER_IMAGE_MESSAGE_STREAM_H_

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/os/mutex.h"
#include "google/protobuf/any.pb.h"

namespace berth::image {

class MessageStream {
 public:
  using Any = google::protobuf::Any;

  virtual ~MessageStream() = default;
  // The next message; none at the client's end. Errors: CANCELLED when the client has gone.
  virtual void Read(absl::AnyInvocable<void(absl::StatusOr<std::optional<Any>>)> got) = 0;
  // Queues the message; `sent` runs when the client's connection has taken it, or never will
  // (false). The caller bounds what it queues.
  virtual void Write(Any message, absl::AnyInvocable<void(bool sent)> sent) = 0;
  // Messages that wait to be sent.
  virtual size_t queued() const = 0;
  // Ends the stream once what is queued has been sent. Later calls do nothing.
  virtual void Close(absl::Status status) = 0;
};

class StreamTable {
 public:
  // Errors: ALREADY_EXISTS; RESOURCE_EXHAUSTED for too many.
  absl::Status Add(absl::string_view ns, absl::string_view id,
                   std::shared_ptr<MessageStream> stream) ABSL_LOCKS_EXCLUDED(mutex_) {
    MutexLock lock(&mutex_);
    if (streams_.size() >= kMaxStreams) {
      return absl::ResourceExhaustedError("too many streams are open; try again in a moment");
    }
    if (!streams_.try_emplace(KeyOf(ns, id), std::move(stream)).second) {
      return absl::AlreadyExistsError(absl::StrCat("stream \"", id, "\" is open already"));
    }
    return absl::OkStatus();
  }
  void Remove(absl::string_view ns, absl::string_view id) ABSL_LOCKS_EXCLUDED(mutex_) {
    MutexLock lock(&mutex_);
    streams_.erase(KeyOf(ns, id));
  }
  // Errors: NOT_FOUND.
  absl::StatusOr<std::shared_ptr<MessageStream>> Find(absl::string_view ns, absl::string_view id)
      ABSL_LOCKS_EXCLUDED(mutex_) {
    MutexLock lock(&mutex_);
    const auto found = streams_.find(KeyOf(ns, id));
    if (found == streams_.end()) {
      return absl::NotFoundError(absl::StrCat(
          "no stream \"", id, "\" is open; open it by the Streaming service, and keep it open"));
    }
    return found->second;
  }

 private:
  static constexpr size_t kMaxStreams = 1024;
  static std::string KeyOf(absl::string_view ns, absl::string_view id) {
    return absl::StrCat(ns, "\n", id);
  }
  Mutex mutex_;
  absl::flat_hash_map<std::string, std::shared_ptr<MessageStream>> streams_ ABSL_GUARDED_BY(mutex_);
};

// A message as Go's containerd packs it: the bare name of its type.
template <typename Message>
google::protobuf::Any PackAny(const Message& message) {
  google::protobuf::Any any;
  any.set_type_url(Message::descriptor()->full_name());
  message.SerializeToString(any.mutable_value());
  return any;
}

// Whether `any` holds a Message, by its bare name or with a prefix ("type.googleapis.com/").
template <typename Message>
bool HoldsMessage(const google::protobuf::Any& any) {
  const absl::string_view url(any.type_url().data(), any.type_url().size());
  const size_t slash = url.rfind('/');
  const absl::string_view name = slash == absl::string_view::npos ? url : url.substr(slash + 1);
  return name == Message::descriptor()->full_name();
}

// Errors: INVALID_ARGUMENT for another or a malformed message.
template <typename Message>
absl::StatusOr<Message> UnpackAny(const google::protobuf::Any& any) {
  Message message;
  if (!HoldsMessage<Message>(any) || !message.ParseFromString(any.value())) {
    return absl::InvalidArgumentError(absl::StrCat("expected a message of type ",
                                                   Message::descriptor()->full_name(), ", got \"",
                                                   any.type_url(), "\""));
  }
  return message;
}

}  // namespace berth::image

#endif  // BERTH_SERVER_IMAGE_MESSAGE_STREAM_H_
