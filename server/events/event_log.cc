#include "server/events/event_log.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"
#include "server/events/event_segment.h"

namespace berth {
namespace {

using event_segment::Record;
using event_segment::RecordState;

constexpr absl::string_view kSuffix = ".log";
constexpr size_t kReadBytes = 64u << 10;

std::string SegmentName(uint64_t epoch, uint64_t sequence) {
  return absl::StrFormat("%016x-%016x%s", epoch, sequence, kSuffix);
}

absl::StatusOr<std::string> ReadAt(BorrowedFd fd, uint64_t offset, size_t bytes) {
  std::string buffer(bytes, '\0');
  size_t filled = 0;
  while (filled < bytes) {
    const ssize_t got = ::pread(fd.get(), buffer.data() + filled, bytes - filled,
                                static_cast<off_t>(offset + filled));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return ErrnoStatus(errno, "pread", "the event log");
    if (got == 0) break;
    filled += static_cast<size_t>(got);
  }
  buffer.resize(filled);
  return buffer;
}

// Walks over the records of a file from `offset` to `end`; `see` gets each whole one with the
// offset behind it and says whether to go on. Returns the state of the record that ended the walk:
// kWhole when `see` did, kIncomplete at the end of the file.
absl::StatusOr<RecordState> Walk(
    BorrowedFd fd, uint64_t offset, uint64_t end,
    absl::FunctionRef<bool(const Record& record, uint64_t offset_behind)> see) {
  size_t window = kReadBytes;
  while (offset < end) {
    BERTH_ASSIGN_OR_RETURN(
        const std::string bytes,
        ReadAt(fd, offset, static_cast<size_t>(std::min<uint64_t>(window, end - offset))));
    absl::string_view rest = bytes;
    Record record;
    while (!rest.empty()) {
      record = event_segment::DecodeRecord(rest);
      if (record.state != RecordState::kWhole) break;
      offset += record.needed_bytes;
      rest.remove_prefix(record.needed_bytes);
      if (!see(record, offset)) return RecordState::kWhole;
    }
    if (rest.empty()) continue;
    if (record.state == RecordState::kBroken) return record.state;
    if (offset + std::max(record.needed_bytes, event_segment::kRecordHeaderBytes) > end) break;
    window = std::max(kReadBytes, record.needed_bytes);  // a record that is larger than the window
  }
  return RecordState::kIncomplete;
}

}  // namespace

absl::StatusOr<std::unique_ptr<EventLog>> EventLog::Open(Options options, const Logger& log) {
  BERTH_RETURN_IF_ERROR(EnsureDirectory(options.directory, 0700)) << "event log";
  BERTH_ASSIGN_OR_RETURN(UniqueFd directory, OpenFile(options.directory, O_RDONLY | O_DIRECTORY),
                         _ << "event log");
  std::unique_ptr<EventLog> result(new EventLog(std::move(options), std::move(directory), log));
  MutexLock lock(&result->mutex_);
  BERTH_RETURN_IF_ERROR(result->Load()) << "event log in " << result->options_.directory;
  return result;
}

void EventLog::SetDirtyCallback(std::function<void()> dirty) {
  MutexLock lock(&mutex_);
  dirty_ = std::move(dirty);
}

absl::Status EventLog::Load() {
  BERTH_ASSIGN_OR_RETURN(std::vector<std::string> names, ListDirectory(directory_));
  std::sort(names.begin(), names.end());  // numbers of equal width: the order of the events
  bool damaged = false;
  for (const std::string& name : names) {
    if (!absl::EndsWith(name, kSuffix)) continue;
    const absl::Status status = LoadSegment(name);
    if (absl::IsFailedPrecondition(status)) return status;
    if (status.ok()) continue;
    MoveAside(name, status);
    damaged = true;
  }
  if (segments_.empty()) {
    // Rises even over a log that somebody removed.
    last_ = {static_cast<uint64_t>(absl::ToUnixSeconds(absl::Now())), 0};
    return BeginSegment();
  }
  Segment& tail = *segments_.back();
  last_ = {tail.epoch, tail.first_sequence - 1};
  bool complete = false;  // nothing follows the mark that all of it is on the disk
  uint64_t end = event_segment::kHeaderBytes;
  BERTH_ASSIGN_OR_RETURN(const RecordState state,
                         Walk(tail.fd, end, tail.size, [&](const Record& record, uint64_t behind) {
                           last_.sequence = std::max(last_.sequence, record.sequence);
                           complete = record.payload.empty();
                           end = behind;
                           return true;
                         }));
  const bool same_boot = tail.boot_id == options_.boot_id;
  // A write that a kill cut short was told to nobody; a record that is damaged was.
  damaged = damaged || state == RecordState::kBroken || (!same_boot && !complete);
  tail.size = end;
  if (same_boot && !damaged) return absl::OkStatus();
  if (damaged) {
    log_.Warning("the event log begins a new epoch: its last events may be missing",
                 {{"epoch", last_.epoch + 1}, {"last", last_.ToString()}});
    ++last_.epoch;
  }
  return BeginSegment();
}

absl::Status EventLog::LoadSegment(const std::string& name) {
  BERTH_ASSIGN_OR_RETURN(UniqueFd fd, OpenAt(directory_, name, O_RDWR | O_NOFOLLOW));
  BERTH_ASSIGN_OR_RETURN(const std::string bytes, ReadAt(fd, 0, event_segment::kHeaderBytes));
  BERTH_ASSIGN_OR_RETURN(event_segment::Header header, event_segment::DecodeHeader(bytes),
                         _ << name);
  struct stat status;
  if (::fstat(fd.get(), &status) != 0) return ErrnoStatus(errno, "fstat", name);
  if (!segments_.empty() &&
      EventCursor{header.epoch, header.first_sequence} <=
          EventCursor{segments_.back()->epoch, segments_.back()->first_sequence}) {
    return absl::DataLossError(absl::StrCat(name, " does not follow the file before it"));
  }
  auto segment = std::make_shared<Segment>();
  segment->number = next_segment_number_++;
  segment->epoch = header.epoch;
  segment->first_sequence = header.first_sequence;
  segment->boot_id = std::move(header.boot_id);
  segment->name = name;
  segment->fd = std::move(fd);
  segment->size = static_cast<uint64_t>(status.st_size);
  segments_.push_back(std::move(segment));
  return absl::OkStatus();
}

void EventLog::MoveAside(const std::string& name, const absl::Status& why) {
  log_.Warning("moving a file of the event log aside",
               {{"path", absl::StrCat(options_.directory, "/", name)}, {"error", why}});
  const std::string aside = absl::StrCat(name.substr(0, name.size() - kSuffix.size()), ".broken");
  (void)::renameat(directory_.get(), name.c_str(), directory_.get(), aside.c_str());
}

absl::Status EventLog::BeginSegment() {
  auto segment = std::make_shared<Segment>();
  segment->number = next_segment_number_++;
  segment->epoch = last_.epoch;
  segment->first_sequence = last_.sequence + 1;
  segment->boot_id = options_.boot_id;
  segment->name = SegmentName(segment->epoch, segment->first_sequence);
  const std::string header = event_segment::EncodeHeader({.epoch = segment->epoch,
                                                          .first_sequence = segment->first_sequence,
                                                          .boot_id = segment->boot_id});
  BERTH_ASSIGN_OR_RETURN(segment->fd, OpenAt(directory_, segment->name,
                                             O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600));
  absl::Status written = WriteAll(segment->fd, header);
  if (!written.ok()) {
    (void)::unlinkat(directory_.get(), segment->name.c_str(), 0);
    return written;
  }
  segment->size = header.size();
  // A file that held no event (the epoch rose and rose again) gave its name to the new one.
  if (!segments_.empty() && segments_.back()->name == segment->name) segments_.pop_back();
  segments_.push_back(std::move(segment));
  names_unsynced_ = true;
  DropOldSegments();
  return absl::OkStatus();
}

void EventLog::DropOldSegments() {
  uint64_t bytes = 0;
  for (const auto& segment : segments_) bytes += segment->size;
  while (segments_.size() > 1) {
    const uint64_t events_behind = last_.sequence + 1 - segments_[1]->first_sequence;
    if (bytes <= options_.retained_bytes && events_behind < options_.retained_events) return;
    bytes -= segments_.front()->size;
    (void)::unlinkat(directory_.get(), segments_.front()->name.c_str(), 0);
    segments_.pop_front();
  }
}

absl::Status EventLog::Write(absl::string_view record) {
  if (segments_.back()->size + record.size() > options_.segment_bytes &&
      segments_.back()->size > event_segment::kHeaderBytes) {
    BERTH_RETURN_IF_ERROR(BeginSegment());
  }
  Segment& tail = *segments_.back();
  size_t written = 0;
  while (written < record.size()) {
    const ssize_t put = ::pwrite(tail.fd.get(), record.data() + written, record.size() - written,
                                 static_cast<off_t>(tail.size + written));
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) {
      absl::Status status = ErrnoStatus(errno, "pwrite", tail.name);
      // Half a record behind the last would read as damage; the next one overwrites what stays.
      if (written > 0 && ::ftruncate(tail.fd.get(), static_cast<off_t>(tail.size)) != 0) {
        status = Annotate(status, "half a record stays behind the last, and cannot be cut off");
      }
      return status;
    }
    written += static_cast<size_t>(put);
  }
  tail.size += record.size();
  if (unsynced_.empty() || unsynced_.back() != segments_.back()) {
    unsynced_.push_back(segments_.back());
  }
  return absl::OkStatus();
}

EventCursor EventLog::Append(const EventEnvelope& envelope) {
  std::string payload;
  envelope.SerializeToString(&payload);
  std::function<void()> dirty;
  EventCursor cursor;
  {
    MutexLock lock(&mutex_);
    const bool was_clean = unsynced_.empty();
    ++last_.sequence;
    cursor = last_;
    if (closed_) return cursor;
    // A new file is named by its first event.
    --last_.sequence;
    const absl::Status written = Write(event_segment::EncodeRecord(cursor.sequence, payload));
    last_.sequence = cursor.sequence;
    if (!written.ok() && !failing_) {
      log_.Error("events are not kept for subscribers that come back", {{"error", written}});
    }
    failing_ = !written.ok();
    if (was_clean && written.ok()) dirty = dirty_;
  }
  if (dirty) dirty();
  return cursor;
}

EventCursor EventLog::last() const {
  MutexLock lock(&mutex_);
  return last_;
}

EventCursor EventLog::oldest() const {
  MutexLock lock(&mutex_);
  return {segments_.front()->epoch, segments_.front()->first_sequence - 1};
}

// The file in which the event behind `position` is, or would be.
EventLog::View EventLog::FindSegment(const Position& position) const {
  MutexLock lock(&mutex_);
  size_t i = 0;
  for (; i + 1 < segments_.size(); ++i) {
    if (position.segment != 0) {
      if (segments_[i]->number >= position.segment) break;
    } else if (const Segment& next = *segments_[i + 1];
               position.after < EventCursor{next.epoch, next.first_sequence - 1}) {
      break;
    }
  }
  return {segments_[i], segments_[i]->size, last_, i + 1 == segments_.size()};
}

absl::StatusOr<EventLog::Batch> EventLog::Read(Position& position, size_t limit_bytes) {
  Batch batch;
  if (position.after > last()) {  // of another log, or of events that a power cut took
    batch.gap =
        EventGap{.reason = EventGap::Reason::kUnknownCursor, .after = position.after, .before = {}};
    position = {.after = oldest()};
  }
  size_t bytes = 0;
  while (bytes < limit_bytes) {
    const View view = FindSegment(position);
    BERTH_ASSIGN_OR_RETURN(const RecordState state,
                           ReadSegment(view, position, limit_bytes, bytes, batch));
    if (state == RecordState::kWhole) return batch;  // enough, or a gap comes next
    if (!view.is_last) {
      // The end of the file, or damage: what the next one begins with tells which.
      ++position.segment;
      position.offset = event_segment::kHeaderBytes;
      continue;
    }
    if (position.after < view.last) {  // the last events are not in the file
      if (batch.gap.has_value() || !batch.events.empty()) return batch;
      batch.gap = EventGap{.reason = EventGap::Reason::kNotWritten,
                           .lost_events = view.last.sequence - position.after.sequence,
                           .after = position.after,
                           .before = {}};
      position.after = view.last;
      position.offset = view.size;
    }
    batch.at_end = true;
    return batch;
  }
  return batch;
}

absl::StatusOr<event_segment::RecordState> EventLog::ReadSegment(const View& view,
                                                                 Position& position,
                                                                 size_t limit_bytes, size_t& bytes,
                                                                 Batch& batch) {
  const Segment& segment = *view.segment;
  // False for a reader that resumes, and for one whose file has gone meanwhile.
  const bool follows = position.segment == segment.number;
  if (!follows) position.offset = event_segment::kHeaderBytes;
  position.segment = segment.number;
  absl::Status failed;
  const auto see = [&](const Record& record, uint64_t behind) {
    const EventCursor cursor{segment.epoch, record.sequence};
    if (record.payload.empty() || cursor <= position.after) {
      position.offset = behind;
      return true;
    }
    if (std::optional<EventGap> gap = GapBefore(cursor, position.after, segment, follows)) {
      if (batch.gap.has_value() || !batch.events.empty()) return false;  // for the next batch
      batch.gap = gap;
    }
    auto envelope = std::make_shared<EventEnvelope>();
    if (!envelope->ParseFromArray(record.payload.data(), static_cast<int>(record.payload.size()))) {
      failed = absl::DataLossError(absl::StrCat(segment.name, " holds what is no event"));
      return false;
    }
    if (batch.gap.has_value() && batch.events.empty()) batch.gap->before = cursor;
    batch.events.push_back({cursor, std::move(envelope)});
    position.after = cursor;
    position.offset = behind;
    bytes += record.payload.size() + event_segment::kRecordHeaderBytes;
    return bytes < limit_bytes;
  };
  BERTH_ASSIGN_OR_RETURN(const RecordState state,
                         Walk(segment.fd, position.offset, view.size, see));
  BERTH_RETURN_IF_ERROR(failed);
  return state;
}

std::optional<EventGap> EventLog::GapBefore(EventCursor next, EventCursor after,
                                            const Segment& segment, bool follows) {
  const bool same_epoch = next.epoch == after.epoch;
  if (same_epoch && next.sequence == after.sequence + 1) return std::nullopt;
  EventGap gap;
  gap.after = after;
  gap.before = next;
  if (!follows && after.sequence + 1 < segment.first_sequence) {
    gap.reason = EventGap::Reason::kRetention;
  } else {
    gap.reason = same_epoch ? EventGap::Reason::kNotWritten : EventGap::Reason::kPowerCut;
  }
  if (same_epoch) gap.lost_events = next.sequence - after.sequence - 1;
  return gap;
}

void EventLog::Sync() {
  std::vector<std::shared_ptr<Segment>> segments;
  bool names = false;
  {
    MutexLock lock(&mutex_);
    segments = std::exchange(unsynced_, {});
    names = std::exchange(names_unsynced_, false);
  }
  absl::Status status;
  for (const auto& segment : segments) {
    if (::fdatasync(segment->fd.get()) != 0)
      status = ErrnoStatus(errno, "fdatasync", segment->name);
  }
  if (names && ::fsync(directory_.get()) != 0)
    status = ErrnoStatus(errno, "fsync", options_.directory);
  if (!status.ok()) log_.Error("the event log is not on the disk", {{"error", status}});
}

void EventLog::Close() {
  {
    MutexLock lock(&mutex_);
    if (std::exchange(closed_, true)) return;
    const absl::Status marked = Write(event_segment::EncodeRecord(last_.sequence, ""));
    if (!marked.ok()) log_.Warning("the event log has no end mark", {{"error", marked}});
  }
  Sync();
}

}  // namespace berth
