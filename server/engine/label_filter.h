// Docker's filters on labels. Pure functions.
#ifndef BERTH_SERVER_ENGINE_LABEL_FILTER_H_
#define BERTH_SERVER_ENGINE_LABEL_FILTER_H_

#include <algorithm>
#include <string>

#include "absl/strings/string_view.h"

namespace berth::engine {

// "key" or "key=value".
template <typename Labels>
bool MatchesLabel(const Labels& labels, absl::string_view wanted) {
  const size_t equals = wanted.find('=');
  const auto found = labels.find(std::string(wanted.substr(0, equals)));
  if (found == labels.end()) return false;
  return equals == absl::string_view::npos || found->second == wanted.substr(equals + 1);
}

// All of them.
template <typename Labels, typename Values>
bool MatchesLabels(const Labels& labels, const Values& wanted) {
  return std::all_of(wanted.begin(), wanted.end(),
                     [&](const std::string& text) { return MatchesLabel(labels, text); });
}

// Of the filters of a prune: all of "label", none of "label!".
template <typename Labels, typename Filters>
bool MatchesPruneLabels(const Labels& labels, const Filters& filters) {
  const auto wanted = filters.find("label");
  if (wanted != filters.end() && !MatchesLabels(labels, wanted->second.values())) return false;
  const auto unwanted = filters.find("label!");
  if (unwanted == filters.end()) return true;
  const auto& values = unwanted->second.values();
  return std::none_of(values.begin(), values.end(),
                      [&](const std::string& text) { return MatchesLabel(labels, text); });
}

}  // namespace berth::engine

#endif  // BERTH_SERVER_ENGINE_LABEL_FILTER_H_
