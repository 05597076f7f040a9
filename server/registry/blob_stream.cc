#include "server/registry/blob_stream.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/status/status_macros.h"
#include "server/registry/registry_error.h"

namespace berth::registry {
namespace {

constexpr uint64_t kFruitfulBytes = 16 * 1024;
constexpr int kConnections = 1000;  // in all: a host that sends a byte at a time is no help
constexpr absl::Duration kFirstPause = absl::Milliseconds(100);
constexpr absl::Duration kLongestPause = absl::Seconds(60);
constexpr uint64_t kMaxUnknown = 1ull << 40;

// "bytes 5-9/10"; `total` stays 0 for "*".
bool ParseContentRange(absl::string_view text, uint64_t& begin, uint64_t& total) {
  if (!absl::ConsumePrefix(&text, "bytes ")) return false;
  const size_t dash = text.find('-');
  const size_t slash = text.find('/');
  if (dash == text.npos || slash == text.npos) return false;
  if (!absl::SimpleAtoi(text.substr(0, dash), &begin)) return false;
  const absl::string_view whole = text.substr(slash + 1);
  return whole == "*" || absl::SimpleAtoi(whole, &total);
}

}  // namespace

absl::Status BlobStream::Read(const BlobPart& part, Sink sink) {
  uint64_t at = part.begin;
  int fruitless = 0;
  absl::Duration pause = kFirstPause;
  for (int connection = 0;; ++connection) {
    const uint64_t before = at;
    const absl::Status status = ReadOnce(part, at, sink);
    if (status.ok() || !absl::IsUnavailable(status)) return status;
    if (at - before >= kFruitfulBytes) {
      fruitless = 0;
      pause = kFirstPause;
    }
    // One more than attempts: a connection that was kept open may have ended meanwhile.
    if (++fruitless > host_.attempts() || connection == kConnections) return status;
    const absl::Duration wait = std::max(pause, retry_after_);
    if (wait > kLongestPause) return status;
    BERTH_RETURN_IF_ERROR(host_.Pause(wait));
    pause = std::min(pause * 2, kLongestPause);
  }
}

absl::Status BlobStream::CheckAnswer(const BlobPart& part, uint64_t at,
                                     const HttpResponse& response, uint64_t& skip) {
  uint64_t total = 0;
  skip = 0;
  if (response.status == 206) {
    uint64_t begin = 0;
    if (!ParseContentRange(response.Header("Content-Range"), begin, total) || begin != at) {
      return absl::DataLossError(absl::StrCat(part.what, ": the host answers the range from ", at,
                                              " with \"", response.Header("Content-Range"), "\""));
    }
    serves_ranges_ = true;
  } else {
    skip = at;
    uint64_t length = 0;
    if (absl::SimpleAtoi(response.Header("Content-Length"), &length)) total = length;
  }
  if (part.size > 0 && total > 0 && total != part.size) {
    return absl::DataLossError(absl::StrCat(part.what, ": the host says that it has ", total,
                                            " bytes; it has ", part.size));
  }
  return absl::OkStatus();
}

absl::Status BlobStream::ReadOnce(const BlobPart& part, uint64_t& at, Sink sink) {
  if (part.end > 0 && at >= part.end) return absl::OkStatus();
  HostRequest request;
  request.path = part.path;
  if (!part.scope.empty()) request.scopes = {part.scope};
  request.retry = HostRequest::Retry::kNo;  // a repeated one would ask for other bytes
  retry_after_ = absl::ZeroDuration();
  const bool whole = at == 0 && (part.end == 0 || part.end == part.size);
  if (!whole) {
    request.http.headers.push_back({"Range", part.end == 0
                                                 ? absl::StrCat("bytes=", at, "-")
                                                 : absl::StrCat("bytes=", at, "-", part.end - 1)});
  }
  uint64_t skip = 0;
  bool satisfied = false;
  const uint64_t limit = part.end > 0 ? part.end : kMaxUnknown;
  const auto on_headers = [&](const HttpResponse& response) {
    return CheckAnswer(part, at, response, skip);
  };
  const auto on_body = [&](absl::string_view bytes) -> absl::Status {
    received_ += bytes.size();
    const uint64_t dropped = std::min<uint64_t>(skip, bytes.size());
    skip -= dropped;
    bytes.remove_prefix(dropped);
    const uint64_t room = limit - at;
    if (bytes.size() > room) {
      // More than was asked for. Of a host without ranges, the rest belongs to somebody else.
      if (part.end == 0 || part.end == part.size) {
        return absl::DataLossError(
            absl::StrCat(part.what, ": the host sends more than ", limit, " bytes"));
      }
      bytes = bytes.substr(0, room);
      satisfied = true;
    }
    if (!bytes.empty()) {
      BERTH_RETURN_IF_ERROR(sink(bytes));
      at += bytes.size();
    }
    return satisfied ? absl::CancelledError("enough") : absl::OkStatus();
  };
  const auto on_sent = [](uint64_t) {};
  const absl::StatusOr<HttpResponse> response = host_.Do(request, {on_headers, on_body, on_sent});
  if (satisfied && at == part.end) return absl::OkStatus();
  BERTH_RETURN_IF_ERROR(response.status()) << part.what;
  if (!response->IsSuccess()) {
    const absl::Status error = ErrorOf(*response, part.what);
    if (!IsTransient(response->status)) return error;
    retry_after_ = RetryAfter(*response, absl::Now());
    // Read repeats what is unavailable; "too many requests" is what is left when it gave up.
    return retry_after_ > kLongestPause ? error : absl::UnavailableError(error.message());
  }
  if (part.end > 0 && at < part.end) {
    return absl::UnavailableError(
        absl::StrCat(part.what, ": the host's answer ends at byte ", at, " of ", part.end));
  }
  return absl::OkStatus();
}

}  // namespace berth::registry
