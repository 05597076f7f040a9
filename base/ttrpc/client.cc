#include "base/ttrpc/client.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace berth::ttrpc {

Client::Client(Loop& loop, UniqueFd socket, OnClosed on_closed)
    : loop_(loop), on_closed_(std::move(on_closed)) {
  auto connection = Connection::Create(
      loop, std::move(socket),
      [this](const FrameHeader& header, absl::string_view data) { OnFrame(header, data); },
      [this](const absl::Status& reason) { OnLost(reason); });
  // A socket that cannot be watched is a lost one: calls fail with UNAVAILABLE.
  if (connection.ok()) connection_ = *std::move(connection);
}

Client::~Client() {
  for (auto& [stream_id, call] : pending_) loop_.Cancel(call.timer);
}

void Client::Call(absl::string_view service, absl::string_view method, std::string payload,
                  Metadata metadata, absl::Duration timeout, Done done) {
  const uint32_t stream_id = next_stream_id_;
  next_stream_id_ += 2;
  Pending& call = pending_[stream_id];
  call.done = std::move(done);
  if (pending_.size() > kMaxPendingCalls) {
    return FinishFromLoop(stream_id, absl::ResourceExhaustedError("too many pending ttrpc calls"));
  }
  if (connection_ == nullptr) {
    return FinishFromLoop(stream_id, absl::UnavailableError("ttrpc connection is closed"));
  }
  const bool limited = timeout != absl::InfiniteDuration();
  const std::string request =
      EncodeRequest({.service = std::string(service),
                     .method = std::string(method),
                     .payload = std::move(payload),
                     .timeout_ns = limited ? absl::ToInt64Nanoseconds(timeout) : 0,
                     .metadata = std::move(metadata)});
  const absl::Status sent = connection_->Send(stream_id, FrameType::kRequest, request);
  if (!sent.ok()) return FinishFromLoop(stream_id, sent);
  if (!limited) return;
  call.timer =
      loop_.After(timeout, [this, stream_id, name = absl::StrCat(service, ".", method), timeout] {
        Finish(stream_id, absl::DeadlineExceededError(absl::StrCat(name, " got no answer within ",
                                                                   absl::FormatDuration(timeout))));
      });
}

void Client::FinishFromLoop(uint32_t stream_id, absl::Status error) {
  pending_[stream_id].timer =
      loop_.After(absl::ZeroDuration(),
                  [this, stream_id, error = std::move(error)] { Finish(stream_id, error); });
}

void Client::Finish(uint32_t stream_id, absl::StatusOr<std::string> result) {
  auto call = pending_.extract(stream_id);
  if (call.empty()) return;  // it timed out before the answer came
  loop_.Cancel(call.mapped().timer);
  call.mapped().done(std::move(result));  // may destroy this
}

void Client::OnFrame(const FrameHeader& header, absl::string_view data) {
  if (header.type != FrameType::kResponse) return;  // streams are never opened from here
  if (header.length_bytes > kMaxMessageBytes) {
    return Finish(header.stream_id,
                  absl::ResourceExhaustedError(absl::StrCat(
                      "ttrpc response of ", header.length_bytes, " bytes exceeds the limit")));
  }
  Finish(header.stream_id, DecodeResponse(data));
}

// Uses no member after the first callback: it may destroy this.
void Client::FailAll(const absl::Status& reason) {
  connection_.reset();
  PendingMap pending = std::exchange(pending_, {});
  for (auto& [stream_id, call] : pending) loop_.Cancel(call.timer);
  for (auto& [stream_id, call] : pending) call.done(reason);
}

void Client::OnLost(const absl::Status& reason) {
  OnClosed on_closed = std::move(on_closed_);
  const absl::Status lost = absl::UnavailableError(reason.message());
  FailAll(lost);
  if (on_closed) on_closed(lost);
}

void Client::Close() { FailAll(absl::CancelledError("ttrpc client was closed")); }

}  // namespace berth::ttrpc
