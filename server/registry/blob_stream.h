// A part of a blob, from one host, in order; goes on after a broken connection.
//
// Invariant: the sink gets exactly the bytes [begin, end) of what the host sends as the blob, each
// once. A host that ignores ranges is read from the beginning and what is not wanted is dropped. A
// host that says another size than the blob has is a liar: DATA_LOSS. Thread-compatible.
#ifndef BERTH_SERVER_REGISTRY_BLOB_STREAM_H_
#define BERTH_SERVER_REGISTRY_BLOB_STREAM_H_

#include <cstdint>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "server/registry/host_client.h"

namespace berth::registry {

struct BlobPart {
  std::string path;  // below the host, or a URL
  std::string scope;
  std::string what;  // for messages
  uint64_t begin = 0;
  uint64_t end = 0;   // 0: to the end, which is not known
  uint64_t size = 0;  // of the whole blob; 0: not known
};

class BlobStream {
 public:
  using Sink = absl::FunctionRef<absl::Status(absl::string_view)>;
  explicit BlobStream(HostClient& host) : host_(host) {}

  // Errors: those of the sink at once; DATA_LOSS; NOT_FOUND ...; UNAVAILABLE after several
  // connections in a row that brought nothing. Blocks.
  absl::Status Read(const BlobPart& part, Sink sink);

  // Whether the host answered a range with that range. Meaningful after Read.
  bool serves_ranges() const { return serves_ranges_; }
  uint64_t bytes_received() const { return received_; }

 private:
  // One connection's worth; `at` advances.
  absl::Status ReadOnce(const BlobPart& part, uint64_t& at, Sink sink);
  absl::Status CheckAnswer(const BlobPart& part, uint64_t at, const HttpResponse& response,
                           uint64_t& skip);

  HostClient& host_;
  bool serves_ranges_ = false;
  absl::Duration retry_after_;  // what the last answer asked for
  uint64_t received_ = 0;
};

}  // namespace berth::registry

#endif  // BERTH_SERVER_REGISTRY_BLOB_STREAM_H_
