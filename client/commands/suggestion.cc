#include "client/commands/suggestion.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace berth::client {
namespace {

constexpr size_t kMaxSuggestions = 3;

}  // namespace

size_t EditDistance(absl::string_view a, absl::string_view b) {
  std::vector<std::vector<size_t>> cost(a.size() + 1, std::vector<size_t>(b.size() + 1));
  for (size_t i = 0; i <= a.size(); ++i) cost[i][0] = i;
  for (size_t j = 0; j <= b.size(); ++j) cost[0][j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    for (size_t j = 1; j <= b.size(); ++j) {
      cost[i][j] = std::min({cost[i - 1][j] + 1, cost[i][j - 1] + 1,
                             cost[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        cost[i][j] = std::min(cost[i][j], cost[i - 2][j - 2] + 1);
      }
    }
  }
  return cost[a.size()][b.size()];
}

std::string DidYouMean(absl::string_view word, const std::vector<std::string>& known) {
  const absl::string_view letters = word.substr(std::min<size_t>(word.find_first_not_of('-'), 2));
  const size_t tolerance = letters.size() <= 3 ? 1 : 2;
  std::vector<std::pair<size_t, std::string>> near;
  for (const std::string& candidate : known) {
    const size_t distance = EditDistance(word, candidate);
    const bool is_beginning = letters.size() >= 3 && absl::StartsWith(candidate, word);
    if (distance <= tolerance || is_beginning) near.emplace_back(distance, candidate);
  }
  std::sort(near.begin(), near.end());
  near.resize(std::min(near.size(), kMaxSuggestions));
  if (near.empty()) return "";
  return absl::StrCat(" Did you mean ",
                      absl::StrJoin(near, " or ",
                                    [](std::string* out, const auto& one) {
                                      absl::StrAppend(out, "\"", one.second, "\"");
                                    }),
                      "?");
}

}  // namespace berth::client
