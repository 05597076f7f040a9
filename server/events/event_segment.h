// One file of the event log: its header and its records as bytes (docs/formats/events.md).
//
// Invariant: what Encode makes, Decode reads; a record whose checksum is wrong is never returned.
// Pure functions, thread-safe.
#ifndef BERTH_SERVER_EVENTS_EVENT_SEGMENT_H_
#define BERTH_SERVER_EVENTS_EVENT_SEGMENT_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace berth::event_segment {

inline constexpr size_t kHeaderBytes = 80;
inline constexpr size_t kRecordHeaderBytes = 16;
// An event of a client is at most what one message may hold.
inline constexpr size_t kMaxPayloadBytes = 64u << 20;

struct Header {
  uint64_t epoch = 0;
  uint64_t first_sequence = 0;
  std::string boot_id;  // of the boot that made the file
};
std::string EncodeHeader(const Header& header);
// Errors: DATA_LOSS; FAILED_PRECONDITION for a newer major version.
absl::StatusOr<Header> DecodeHeader(absl::string_view bytes);

// An empty payload marks that the daemon closed the log and had it on the disk.
std::string EncodeRecord(uint64_t sequence, absl::string_view payload);

enum class RecordState {
  kWhole,
  kIncomplete,  // the bytes end before the record does: it was never written to its end
  kBroken,      // all of its bytes are there, and not what was written
};
struct Record {
  RecordState state = RecordState::kIncomplete;
  uint64_t sequence = 0;
  absl::string_view payload;  // into the bytes that were given
  size_t needed_bytes = 0;    // of the whole record, as far as its header says; 0: no header yet
};
// The record at the beginning of `bytes`.
Record DecodeRecord(absl::string_view bytes);

}  // namespace berth::event_segment

#endif  // BERTH_SERVER_EVENTS_EVENT_SEGMENT_H_
