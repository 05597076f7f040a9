#include "server/engine/log_reader.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/json/document.h"
#include "base/os/fd_factories.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"
#include "server/metadata/record.h"

namespace berth::engine {
namespace {

constexpr size_t kReadBytes = 64 << 10;
constexpr int kMaxFiles = 1000;

ino_t InodeOf(const std::string& path) {
  struct stat status = {};
  return ::stat(path.c_str(), &status) == 0 ? status.st_ino : 0;
}

// Whether a record of this text ends its line.
bool EndsLine(const v1::LogEntry& entry) { return absl::EndsWith(entry.data(), "\n"); }

}  // namespace

std::optional<v1::LogEntry> ParseLogLine(absl::string_view line) {
  const auto document = json::Document::Parse(std::string(line));
  if (!document.ok()) return std::nullopt;
  const json::Value root = document->root();
  absl::Time time;
  std::string error;
  if (!absl::ParseTime(absl::RFC3339_full, root.Find("time").text(), &time, &error)) {
    return std::nullopt;
  }
  v1::LogEntry entry;
  entry.set_stream(root.Find("stream").text() == "stderr" ? v1::STREAM_STDERR : v1::STREAM_STDOUT);
  *entry.mutable_time() = metadata::ToTimestamp(time);
  const absl::string_view text = root.Find("log").text();
  entry.set_data(text.data(), text.size());
  return entry;
}

LogReader::LogReader(std::string path, v1::LogsRequest request)
    : path_(std::move(path)),
      request_(std::move(request)),
      since_(request_.has_since() ? metadata::FromTimestamp(request_.since())
                                  : absl::InfinitePast()),
      until_(request_.has_until() ? metadata::FromTimestamp(request_.until())
                                  : absl::InfiniteFuture()) {}

std::string LogReader::PathOf(int number) const {
  return number == 0 ? path_ : absl::StrCat(path_, ".", number);
}

int LogReader::Highest() const {
  // Numbers may have gaps, but not after many.
  int highest = 0;
  for (int number = 1; number < kMaxFiles && number < highest + 8; ++number) {
    if (InodeOf(PathOf(number)) != 0) highest = number;
  }
  return highest;
}

bool LogReader::Wants(v1::Stream stream) const {
  if (request_.stdout() == request_.stderr()) return true;
  return stream == v1::STREAM_STDERR ? request_.stderr() : request_.stdout();
}

absl::Status LogReader::OpenAt(int number) {
  auto file = OpenFile(PathOf(number), O_RDONLY);
  if (absl::IsNotFound(file.status())) return file.status();
  BERTH_RETURN_IF_ERROR(file.status());
  struct stat status = {};
  if (::fstat(file->get(), &status) != 0) return ErrnoStatus(errno, "stat the log");
  file_ = *std::move(file);
  inode_ = status.st_ino;
  rest_.clear();
  return absl::OkStatus();
}

absl::Status LogReader::Open() {
  if (request_.has_tail() && request_.tail() >= 0) {
    BERTH_RETURN_IF_ERROR(SkipToTail(request_.tail()));
  }
  for (int number = Highest(); number >= 0; --number) {
    const absl::Status opened = OpenAt(number);
    if (!absl::IsNotFound(opened)) return opened;
  }
  return absl::NotFoundError("no log yet");
}

// Counts first: a log is small (max-size times max-file), and what is skipped is only scanned.
absl::Status LogReader::SkipToTail(int64_t lines) {
  int64_t all = 0;
  LogReader counter(path_, [&] {
    v1::LogsRequest plain = request_;
    plain.clear_tail();
    return plain;
  }());
  while (true) {
    v1::LogsResponse batch;
    absl::StatusOr<size_t> passed = counter.Read(batch);
    BERTH_RETURN_IF_ERROR(passed.status());
    if (*passed == 0) break;
    all += std::count_if(batch.entries().begin(), batch.entries().end(), EndsLine);
    // What is last and has no line end is a line too.
    if (!batch.entries().empty() && counter.is_past_end()) break;
  }
  to_skip_ = std::max<int64_t>(0, all - lines);
  return absl::OkStatus();
}

absl::StatusOr<bool> LogReader::Advance() {
  const ino_t newest = InodeOf(path_);
  if (newest == inode_ || newest == 0) return false;
  // Rotated: nobody writes to the open file any more, and the caller has read it to its end.
  int number = 0;
  const int highest = Highest();
  for (int i = 1; i <= highest; ++i) {
    if (InodeOf(PathOf(i)) == inode_) number = i;
  }
  for (int next = number == 0 ? highest : number - 1; next >= 0; --next) {
    const absl::Status opened = OpenAt(next);
    if (opened.ok()) return true;
    if (!absl::IsNotFound(opened)) return opened;
  }
  return false;
}

void LogReader::Take(absl::string_view line, v1::LogsResponse& response) {
  std::optional<v1::LogEntry> entry = ParseLogLine(line);
  if (!entry.has_value() || !Wants(entry->stream())) return;
  const absl::Time time = metadata::FromTimestamp(entry->time());
  if (time < since_) return;
  if (time > until_) {
    is_past_end_ = true;
    return;
  }
  if (to_skip_ > 0) {
    if (EndsLine(*entry)) --to_skip_;
    return;
  }
  *response.add_entries() = *std::move(entry);
}

absl::StatusOr<size_t> LogReader::Read(v1::LogsResponse& response) {
  if (is_past_end_) return 0;
  if (!file_.valid()) {
    const absl::Status opened = Open();
    if (absl::IsNotFound(opened)) return 0;
    BERTH_RETURN_IF_ERROR(opened) << "open the log";
  }
  size_t records = 0;
  size_t bytes = 0;
  std::vector<char> buffer(kReadBytes);
  while (bytes < kBatchBytes && !is_past_end_) {
    const ssize_t size = ::read(file_.get(), buffer.data(), buffer.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return ErrnoStatus(errno, "read the log");
    if (size == 0) {
      // A last look at a file that was rotated away comes before the next one is opened.
      BERTH_ASSIGN_OR_RETURN(const bool is_other, Advance());
      if (!is_other) break;
      continue;
    }
    rest_.append(buffer.data(), static_cast<size_t>(size));
    bytes += static_cast<size_t>(size);
    size_t begin = 0;
    for (size_t end; (end = rest_.find('\n', begin)) != std::string::npos; begin = end + 1) {
      Take(absl::string_view(rest_).substr(begin, end - begin), response);
      ++records;
    }
    rest_.erase(0, begin);
  }
  return records;
}

}  // namespace berth::engine
