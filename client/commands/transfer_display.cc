#include "client/commands/transfer_display.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "client/attach/terminal.h"
#include "client/sdk/quantities.h"

namespace berth::client {
namespace {

constexpr absl::Duration kRedraw = absl::Milliseconds(100);
constexpr int kBarColumns = 24;
constexpr int kMinWidthForBar = 60;

// "layer-sha256:0123456789abcdef..." -> "layer 0123456789ab"; other names as they are.
std::string ShortName(absl::string_view name) {
  const size_t mark = name.find("-sha256:");
  if (mark == absl::string_view::npos) return std::string(name);
  return absl::StrCat(name.substr(0, mark), " ", name.substr(mark + 8, 12));
}

bool IsMoving(absl::string_view event) { return event == "downloading" || event == "uploading"; }

std::string Bar(int64_t done, int64_t total) {
  const double part = total > 0 ? std::clamp(static_cast<double>(done) / total, 0.0, 1.0) : 0.0;
  const int filled = static_cast<int>(part * kBarColumns);
  std::string bar(static_cast<size_t>(filled), '=');
  if (filled < kBarColumns) bar += '>';
  bar.resize(kBarColumns, ' ');
  return absl::StrCat("[", bar, "]");
}

void WriteError(absl::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stderr);
  std::fflush(stderr);
}

}  // namespace

TransferDisplay::Style TransferDisplay::ChooseStyle() {
  return IsTerminal(BorrowedFd(STDERR_FILENO)) ? Style::kBars : Style::kPlain;
}

std::string TransferDisplay::Format(const Line& line, int width, absl::Time now) {
  std::string text = absl::StrFormat("%-22s %-14s", ShortName(line.name), line.event);
  if (IsMoving(line.event) && line.total_bytes > 0) {
    const double seconds = absl::ToDoubleSeconds(now - line.began);
    const int64_t moved = std::max<int64_t>(line.done_bytes - line.first_bytes, 0);
    if (width >= kMinWidthForBar) {
      absl::StrAppend(&text, " ", Bar(line.done_bytes, line.total_bytes));
    }
    absl::StrAppend(&text, " ", FormatBytes(line.done_bytes), "/", FormatBytes(line.total_bytes));
    if (seconds >= 0.5) {
      absl::StrAppend(&text, "  ", FormatBytes(static_cast<int64_t>(moved / seconds)), "/s");
    }
  } else if (line.total_bytes > 0) {
    absl::StrAppend(&text, " ", FormatBytes(line.total_bytes));
  }
  if (static_cast<int>(text.size()) > width) text.resize(static_cast<size_t>(width));
  return text;
}

void TransferDisplay::Show(const TransferStep& step) {
  const absl::Time now = absl::Now();
  MutexLock lock(&mutex_);
  if (step.name().empty()) {
    if (style_ == Style::kPlain) WriteError(absl::StrCat(step.event(), "\n"));
    return;
  }
  const auto [entry, is_new] = lines_.try_emplace(step.name());
  Line& line = entry->second;
  if (is_new) {
    order_.push_back(step.name());
    line.name = step.name();
  }
  const bool is_other = line.event != step.event();
  if (is_other) {
    line.event = step.event();
    line.began = now;
    line.first_bytes = step.progress();
  }
  line.done_bytes = step.progress();
  if (step.total() > 0) line.total_bytes = step.total();
  if (style_ == Style::kPlain) {
    const bool is_news = is_other && step.event() != "waiting";
    if (is_news && step.event() != "saved") {
      WriteError(absl::StrCat(
          ShortName(line.name), ": ", line.event,
          line.total_bytes > 0 ? absl::StrCat(" ", FormatBytes(line.total_bytes)) : "", "\n"));
    }
    return;
  }
  if (now - drawn_at_ >= kRedraw) Draw(now);
}

void TransferDisplay::Draw(absl::Time now) {
  const WindowSize size = GetWindowSize(BorrowedFd(STDERR_FILENO)).value_or(WindowSize());
  const int width = size.columns > 1 ? size.columns - 1 : 79;
  // What does not fit the screen cannot be redrawn: the newest lines are shown.
  const size_t rows = static_cast<size_t>(size.rows > 1 ? size.rows - 1 : 23);
  std::string text;
  if (drawn_ > 0) absl::StrAppendFormat(&text, "\x1b[%dA", static_cast<int>(drawn_));
  const size_t first = order_.size() > rows ? order_.size() - rows : 0;
  for (size_t i = first; i < order_.size(); ++i) {
    absl::StrAppend(&text, "\r\x1b[K", Format(lines_.at(order_[i]), width, now), "\n");
  }
  drawn_ = order_.size() - first;
  drawn_at_ = now;
  WriteError(text);
}

void TransferDisplay::Finish() {
  MutexLock lock(&mutex_);
  if (style_ == Style::kBars && !order_.empty()) Draw(absl::Now());
}

}  // namespace berth::client
