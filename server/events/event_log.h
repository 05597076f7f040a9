// The events of the daemon on the disk, in order, with sequence numbers.
//
// Files of about a megabyte in ROOT/events, appended to with one write per event and made durable
// together with the database's delayed commits, never one by one; the oldest file goes when the
// rest holds what is to be kept. Killing the daemon loses nothing that was appended. After a power
// cut, or where the end of a file is damaged, the epoch rises: see event_cursor.h.
//
// Invariants: Append never fails and never waits for the disk; an event that could not be written
// has used its number, so that whoever reads on sees the hole. Read tells of every hole between two
// events that it returns. Thread-safe. Owned by server/main, which keeps it longer than the
// database and the exchange.
#ifndef BERTH_SERVER_EVENTS_EVENT_LOG_H_
#define BERTH_SERVER_EVENTS_EVENT_LOG_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/log/logger.h"
#include "base/os/mutex.h"
#include "base/os/unique_fd.h"
#include "base/sqlite/database.h"
#include "proto/containerd/services/events/v1/events.pb.h"
#include "server/events/event_cursor.h"
#include "server/events/event_segment.h"

namespace berth {

using EventEnvelope = containerd::services::events::v1::Envelope;

struct LoggedEvent {
  EventCursor cursor;
  std::shared_ptr<const EventEnvelope> envelope;
};

// Events that cannot be read any more.
struct EventGap {
  enum class Reason { kRetention, kPowerCut, kNotWritten, kUnknownCursor };
  Reason reason = Reason::kRetention;
  uint64_t lost_events = 0;  // at most as many; 0: not known
  EventCursor after;         // the reader's position before it
  EventCursor before;        // of the first event behind it
};

class EventLog final : public sqlite::SyncCompanion {
 public:
  struct Options {
    std::string directory;
    uint64_t retained_bytes = 16u << 20;  // the oldest events go beyond either
    uint64_t retained_events = 100'000;
    uint64_t segment_bytes = 1u << 20;
    std::string boot_id;  // the kernel's
  };
  // `log` must outlive it. Blocks. Files that it cannot read are moved aside (".broken"), and the
  // epoch rises. Errors: of making the directory or its first file; FAILED_PRECONDITION for files
  // of a newer version.
  static absl::StatusOr<std::unique_ptr<EventLog>> Open(Options options, const Logger& log);
  ~EventLog() override = default;

  // `dirty` is called, by whoever appends, when something waits for Sync for the first time.
  void SetDirtyCallback(std::function<void()> dirty) ABSL_LOCKS_EXCLUDED(mutex_);

  EventCursor Append(const EventEnvelope& envelope) ABSL_LOCKS_EXCLUDED(mutex_);
  // Of the last event that was appended.
  EventCursor last() const ABSL_LOCKS_EXCLUDED(mutex_);
  // Before the oldest event that is kept.
  EventCursor oldest() const ABSL_LOCKS_EXCLUDED(mutex_);

  // Where a reader is. Copyable value; one per reader.
  struct Position {
    EventCursor after;     // the last event that it has
    uint64_t segment = 0;  // the file (by its number) and the place where it goes on,
    uint64_t offset = 0;   // as long as that file is kept
  };
  struct Batch {
    std::optional<EventGap> gap;  // lies before `events`
    std::vector<LoggedEvent> events;
    bool at_end = false;  // nothing more was there when it was read
  };
  // About `limit_bytes` of events behind `position`, which moves on. Blocks (file reads). Errors:
  // of reading.
  absl::StatusOr<Batch> Read(Position& position, size_t limit_bytes) ABSL_LOCKS_EXCLUDED(mutex_);

  // Makes what was appended durable. Blocks.
  void Sync() override ABSL_LOCKS_EXCLUDED(mutex_);
  // Syncs and marks the log complete, so that a reboot keeps the epoch. Later events are numbered
  // and not written. Idempotent. Blocks.
  void Close() ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  struct Segment {
    uint64_t number = 0;  // in ascending order
    uint64_t epoch = 0;
    uint64_t first_sequence = 0;
    std::string boot_id;
    std::string name;
    UniqueFd fd;
    uint64_t size = 0;  // of its whole records and its header
  };
  struct View {  // of one segment, for a reader without the lock
    std::shared_ptr<const Segment> segment;
    uint64_t size = 0;
    EventCursor last;  // that was appended, in whatever segment
    bool is_last = false;
  };

  EventLog(Options options, UniqueFd directory, const Logger& log)
      : options_(std::move(options)), log_(log), directory_(std::move(directory)) {}

  absl::Status Load() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status LoadSegment(const std::string& name) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void MoveAside(const std::string& name, const absl::Status& why);
  absl::Status BeginSegment() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status Write(absl::string_view record) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void DropOldSegments() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  View FindSegment(const Position& position) const ABSL_LOCKS_EXCLUDED(mutex_);
  // Adds what `view` holds behind `position`; kWhole: the batch has enough.
  static absl::StatusOr<event_segment::RecordState> ReadSegment(const View& view,
                                                                Position& position,
                                                                size_t limit_bytes, size_t& bytes,
                                                                Batch& batch);
  // `follows`: the reader came to `segment` from the one before it.
  static std::optional<EventGap> GapBefore(EventCursor next, EventCursor after,
                                           const Segment& segment, bool follows);

  const Options options_;
  const Logger& log_;
  const UniqueFd directory_;

  mutable Mutex mutex_;
  std::deque<std::shared_ptr<Segment>> segments_ ABSL_GUARDED_BY(mutex_);
  uint64_t next_segment_number_ ABSL_GUARDED_BY(mutex_) = 1;
  EventCursor last_ ABSL_GUARDED_BY(mutex_);
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  bool failing_ ABSL_GUARDED_BY(mutex_) = false;  // and said so
  std::vector<std::shared_ptr<Segment>> unsynced_ ABSL_GUARDED_BY(mutex_);
  bool names_unsynced_ ABSL_GUARDED_BY(mutex_) = false;
  std::function<void()> dirty_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace berth

#endif  // BERTH_SERVER_EVENTS_EVENT_LOG_H_
