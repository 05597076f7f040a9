#include "server/registry/challenge.h"

#include <utility>

#include "absl/strings/ascii.h"

namespace berth::registry {
namespace {

constexpr size_t kMaxChallenges = 16;
constexpr size_t kMaxParameters = 32;

bool IsTokenChar(char c) {
  return absl::ascii_isalnum(c) ||
         absl::string_view("!#$%&'*+-.^_`|~").find(c) != absl::string_view::npos;
}

class Scanner {
 public:
  explicit Scanner(absl::string_view text) : rest_(text) {}
  bool AtEnd() const { return rest_.empty(); }
  void SkipSpaces() {
    while (!rest_.empty() && (rest_[0] == ' ' || rest_[0] == '\t')) rest_.remove_prefix(1);
  }
  void SkipSeparators() {
    while (!rest_.empty() && (rest_[0] == ' ' || rest_[0] == '\t' || rest_[0] == ',')) {
      rest_.remove_prefix(1);
    }
  }
  bool Take(char c) {
    if (rest_.empty() || rest_[0] != c) return false;
    rest_.remove_prefix(1);
    return true;
  }
  void SkipOne() { rest_.remove_prefix(1); }
  std::string Token() {
    size_t end = 0;
    while (end < rest_.size() && IsTokenChar(rest_[end])) ++end;
    const std::string token(rest_.substr(0, end));
    rest_.remove_prefix(end);
    return token;
  }
  std::string Value() {
    if (!Take('"')) return Token();
    std::string value;
    while (!rest_.empty() && rest_[0] != '"') {
      if (rest_[0] == '\\' && rest_.size() > 1) rest_.remove_prefix(1);
      value.push_back(rest_[0]);
      rest_.remove_prefix(1);
    }
    (void)Take('"');
    return value;
  }

 private:
  absl::string_view rest_;
};

}  // namespace

std::vector<Challenge> ParseChallenges(absl::string_view value) {
  std::vector<Challenge> challenges;
  Scanner scanner(value);
  for (scanner.SkipSeparators(); !scanner.AtEnd(); scanner.SkipSeparators()) {
    std::string name = absl::AsciiStrToLower(scanner.Token());
    if (name.empty()) {
      scanner.SkipOne();
      continue;
    }
    scanner.SkipSpaces();
    if (scanner.Take('=')) {
      scanner.SkipSpaces();
      std::string text = scanner.Value();
      if (!challenges.empty() && challenges.back().parameters.size() < kMaxParameters) {
        challenges.back().parameters.emplace(std::move(name), std::move(text));
      }
      continue;
    }
    if (challenges.size() == kMaxChallenges) return challenges;
    challenges.push_back({std::move(name), {}});
  }
  return challenges;
}

}  // namespace berth::registry
