#include "client/commands/listing.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/os/file_io.h"
#include "base/status/check.h"

namespace berth::client {
namespace {

constexpr size_t kGap = 3;
constexpr size_t kNarrowest = 6;  // a cut column keeps this much
constexpr char kEllipsis[] = "…";

// Columns on the screen: UTF-8 continuation bytes take none.
size_t Width(absl::string_view text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

std::string Cut(absl::string_view text, size_t width) {
  if (Width(text) <= width) return std::string(text);
  size_t bytes = 0;
  for (size_t shown = 0; bytes < text.size(); ++bytes) {
    if ((text[bytes] & 0xc0) != 0x80 && shown++ == width - 1) break;
  }
  return absl::StrCat(text.substr(0, bytes), kEllipsis);
}

// A cell must not break the table or drive the terminal.
std::string OneLine(absl::string_view text) {
  std::string result;
  for (const char c : text) {
    result.push_back(static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? ' ' : c);
  }
  return result;
}

int TerminalWidth() {
  winsize size = {};
  if (::isatty(STDOUT_FILENO) != 1 || ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0) {
    return Listing::kUnlimited;
  }
  return size.ws_col;
}

}  // namespace

absl::StatusOr<Format> ParseFormat(absl::string_view text) {
  if (text == "table") return Format::kTable;
  if (text == "json") return Format::kJson;
  return absl::InvalidArgumentError(
      absl::StrCat("--format \"", text, "\" is not known (table or json)"));
}

void Listing::AddColumn(std::string header, std::string key, Fit fit) {
  columns_.push_back({std::move(header), std::move(key), fit});
}

void Listing::AddRow(std::vector<Cell> cells) {
  BERTH_CHECK(cells.size() == columns_.size());
  for (Cell& cell : cells) cell.text = OneLine(cell.text);
  rows_.push_back(std::move(cells));
}

std::vector<size_t> Listing::FitWidths(int width) const {
  std::vector<size_t> widths;
  size_t total = 0;
  for (size_t i = 0; i < columns_.size(); ++i) {
    size_t widest = Width(columns_[i].header);
    for (const std::vector<Cell>& row : rows_) widest = std::max(widest, Width(row[i].text));
    if (columns_[i].fit == Fit::kJsonOnly) widest = 0;
    widths.push_back(widest);
    if (widest > 0) total += widest + (total == 0 ? 0 : kGap);
  }
  while (width != kUnlimited && total > static_cast<size_t>(width)) {
    size_t* victim = nullptr;
    for (size_t i = 0; i < columns_.size(); ++i) {
      const size_t floor = std::max(kNarrowest, Width(columns_[i].header));
      if (columns_[i].fit == Fit::kMayBeCut && widths[i] > floor &&
          (victim == nullptr || widths[i] > *victim)) {
        victim = &widths[i];
      }
    }
    if (victim == nullptr) break;
    --*victim;
    --total;
  }
  return widths;
}

std::string Listing::ToTable(int width) const {
  const std::vector<size_t> widths = FitWidths(width);
  std::string table;
  const auto add_line = [&](const auto& text_of) {
    std::string line;
    for (size_t i = 0; i < columns_.size(); ++i) {
      if (columns_[i].fit == Fit::kJsonOnly) continue;
      const std::string text = Cut(text_of(i), widths[i]);
      line += text;
      line.append(widths[i] - Width(text) + kGap, ' ');
    }
    line.erase(line.find_last_not_of(' ') + 1);
    absl::StrAppend(&table, line, "\n");
  };
  add_line([&](size_t i) { return columns_[i].header; });
  for (const std::vector<Cell>& row : rows_) {
    add_line([&](size_t i) { return row[i].text; });
  }
  return table;
}

std::string Listing::ToJson() const {
  Json list = Json::array();
  for (const std::vector<Cell>& row : rows_) {
    Json object = Json::object();
    for (size_t i = 0; i < columns_.size(); ++i) object[columns_[i].key] = row[i].value;
    list.push_back(std::move(object));
  }
  return absl::StrCat(Dump(list), "\n");
}

void Listing::Print(Format format) const {
  PrintText(format == Format::kJson ? ToJson() : ToTable(TerminalWidth()));
}

void PrintText(absl::string_view text) {
  // Nobody to tell when standard output itself fails.
  WriteAll(BorrowedFd(STDOUT_FILENO), text).IgnoreError();
}

}  // namespace berth::client
