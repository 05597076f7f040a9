#include "shim/io/log_writer.h"

#include <poll.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/os/file_io.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"
#include "shim/io/log_file.h"
#include "shim/io/log_format.h"

namespace berth::io {
namespace {

// What one read takes: more than a pipe holds by default, half of a plain file's. Pages that no
// read fills are not there.
constexpr size_t kReadBytes = 128 << 10;
// Formatted records that are written together.
constexpr size_t kBatchBytes = 64 << 10;

void Add(std::atomic<uint64_t>& counter, uint64_t amount) {
  counter.store(counter.load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
}

class Writer {
 public:
  explicit Writer(LogWriterPlan plan)
      : options_(plan.options), counters_(*plan.counters), report_(std::move(plan.report)) {
    streams_[0].plan = std::move(plan.out);
    streams_[1].plan = std::move(plan.err);
    streams_[1].which = LogStream::kErr;
  }

  int Run() {
    const absl::Status opened = OpenFiles();
    // The shim may have given up meanwhile: then nobody reads the report.
    const std::string report =
        opened.ok() ? "ok" : absl::StrCat(ErrnoOf(opened), " ", opened.message());
    WriteAll(report_, report).IgnoreError();
    report_.Reset();
    if (!opened.ok()) return 1;
    while (Open(streams_[0]) || Open(streams_[1])) PollOnce();
    return 0;
  }

 private:
  struct Stream {
    LogWriterPlan::Stream plan;
    LogStream which = LogStream::kOut;
    LogFile* file = nullptr;
    char text[kReadBytes];       // what came, from the begin of a line that has not ended
    size_t length = 0;           // less than kMaxRecordText between two reads
    struct timespec began = {};  // when the first byte of it came
  };

  static bool Open(const Stream& stream) { return stream.plan.pipe.valid(); }

  absl::Status OpenFiles() {
    for (int i = 0; i < 2; ++i) {
      Stream& stream = streams_[i];
      if (!Open(stream)) continue;
      if (i == 1 && streams_[0].file != nullptr && streams_[0].plan.path == stream.plan.path) {
        stream.file = streams_[0].file;  // one file has one rotation
        continue;
      }
      const bool raw = options_.format == LogFormat::kRaw;
      BERTH_ASSIGN_OR_RETURN(files_[i],
                             LogFile::Open({.path = stream.plan.path,
                                            .max_size_bytes = raw ? 0 : options_.max_size_bytes,
                                            .max_files = options_.max_files,
                                            .records = raw ? LogFile::Options::Records::kRaw
                                                           : LogFile::Options::Records::kLines}));
      stream.file = &*files_[i];
    }
    return absl::OkStatus();
  }

  void PollOnce() {
    struct pollfd polled[2];
    for (int i = 0; i < 2; ++i) polled[i] = {streams_[i].plan.pipe.get(), POLLIN, 0};
    if (::poll(polled, 2, -1) < 0) return;  // EINTR
    for (int i = 0; i < 2; ++i) {
      if (Open(streams_[i]) && polled[i].revents != 0) ReadSome(streams_[i]);
    }
  }

  void ReadSome(Stream& stream) {
    const ssize_t got = ::read(stream.plan.pipe.get(), stream.text + stream.length,
                               sizeof(stream.text) - stream.length);
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) return;
    if (got <= 0) {
      if (stream.length > 0) Record(stream, absl::string_view(stream.text, stream.length));
      Flush(*stream.file);
      stream.plan.pipe.Reset();
      return;
    }
    if (options_.format == LogFormat::kRaw) {
      batch_text_bytes_ = got;
      batch_records_ = 1;
      return Write(*stream.file, absl::string_view(stream.text, got));
    }
    struct timespec now = {};
    ::clock_gettime(CLOCK_REALTIME, &now);
    if (stream.length == 0) stream.began = now;
    stream.length += got;
    CutLines(stream, now);
    Flush(*stream.file);
  }

  void CutLines(Stream& stream, const struct timespec& now) {
    absl::string_view rest(stream.text, stream.length);
    while (!rest.empty()) {
      const size_t end = rest.find('\n');
      const size_t line = end == absl::string_view::npos ? rest.size() : end + 1;
      if (end == absl::string_view::npos && line < kMaxRecordText) break;
      const size_t piece = std::min(line, kMaxRecordText);
      Record(stream, rest.substr(0, piece));
      rest.remove_prefix(piece);
      // The pieces of one line have the time when it began.
      if (piece == line && end != absl::string_view::npos) stream.began = now;
    }
    std::copy(rest.begin(), rest.end(), stream.text);
    stream.length = rest.size();
  }

  void Record(Stream& stream, absl::string_view text) {
    const size_t before = batch_.size();
    if (options_.format == LogFormat::kCri) {
      AppendCriRecord(stream.which, text, stream.began, batch_);
    } else {
      AppendJsonRecord(stream.which, text, stream.began, batch_);
    }
    // A batch belongs into one file.
    if (before > 0 && (batch_.size() > stream.file->RoomBytes() || batch_.size() > kBatchBytes)) {
      const std::string last = batch_.substr(before);
      batch_.resize(before);
      Flush(*stream.file);
      batch_ = last;
    }
    batch_text_bytes_ += text.size();
    ++batch_records_;
  }

  void Flush(LogFile& file) {
    if (batch_.empty()) return;
    Write(file, batch_);
    batch_.clear();
  }

  // Whole records, which belong into one file.
  void Write(LogFile& file, absl::string_view bytes) {
    const absl::Status status = file.Append(bytes);
    if (status.ok()) {
      Add(counters_.bytes, bytes.size());
      Add(counters_.records, batch_records_);
    } else {
      Add(counters_.dropped_bytes, batch_text_bytes_);
      Add(counters_.errors, 1);
      counters_.last_errno.store(ErrnoOf(status), std::memory_order_relaxed);
    }
    uint64_t rotations = 0;
    for (const auto& one : files_) rotations += one.has_value() ? one->rotations() : 0;
    counters_.rotations.store(rotations, std::memory_order_relaxed);
    batch_text_bytes_ = 0;
    batch_records_ = 0;
  }

  const LogOptions options_;
  LogCounters& counters_;
  UniqueFd report_;
  std::optional<LogFile> files_[2];
  Stream streams_[2];
  std::string batch_;  // whole records for one file
  size_t batch_text_bytes_ = 0;
  size_t batch_records_ = 0;
};

}  // namespace

int RunLogWriter(LogWriterPlan plan) {
  // Not on the stack: its pages are taken from the system only where they are used.
  const auto writer = std::make_unique<Writer>(std::move(plan));
  return writer->Run();
}

}  // namespace berth::io
