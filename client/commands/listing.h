// A listing that is a table for people or JSON for programs.
//
// Invariant: a table's lines fit the terminal: columns that may be cut are cut, the widest first.
// Output that is no terminal is never cut. Thread-compatible; built and printed by one command.
#ifndef BERTH_CLIENT_COMMANDS_LISTING_H_
#define BERTH_CLIENT_COMMANDS_LISTING_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "client/sdk/json_access.h"

namespace berth::client {

enum class Format { kTable, kJson };

// "table" or "json". Errors: INVALID_ARGUMENT.
absl::StatusOr<Format> ParseFormat(absl::string_view text);

// A cell shows `text`; programs get `value`, which may say more (an untruncated digest, a number).
struct Cell {
  Cell(std::string shown) : text(std::move(shown)), value(text) {}  // NOLINT: plain text is common
  Cell(std::string shown, Json exact) : text(std::move(shown)), value(std::move(exact)) {}
  std::string text;
  Json value;
};

class Listing {
 public:
  enum class Fit { kWhole, kMayBeCut, kJsonOnly };
  static constexpr int kUnlimited = 0;

  void AddColumn(std::string header, std::string key, Fit fit = Fit::kWhole);
  // Requires: one cell for each column.
  void AddRow(std::vector<Cell> cells);

  // `width`: columns of the terminal, or kUnlimited.
  std::string ToTable(int width) const;
  // One array of objects.
  std::string ToJson() const;

  // To standard output.
  void Print(Format format) const;

 private:
  struct Column {
    std::string header;
    std::string key;
    Fit fit;
  };

  std::vector<size_t> FitWidths(int width) const;

  std::vector<Column> columns_;
  std::vector<std::vector<Cell>> rows_;
};

// Writes to standard output, all of it.
void PrintText(absl::string_view text);

}  // namespace berth::client

#endif  // BERTH_CLIENT_COMMANDS_LISTING_H_
