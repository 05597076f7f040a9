#include "snapshotter/overlay/id_maps.h"

#include <limits>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status/status_macros.h"

namespace berth::snapshots {

absl::StatusOr<std::optional<IdMaps>> IdMaps::FromLabels(const Labels& labels) {
  const auto users = labels.find(kUserMapLabel);
  const auto groups = labels.find(kGroupMapLabel);
  if (users == labels.end() && groups == labels.end()) return std::optional<IdMaps>();
  if (users == labels.end() || groups == labels.end()) {
    return absl::InvalidArgumentError(absl::StrCat("the labels ", kUserMapLabel, " and ",
                                                   kGroupMapLabel, " belong together; give both"));
  }
  IdMaps maps;
  BERTH_ASSIGN_OR_RETURN(maps.users_, Parse(kUserMapLabel, users->second));
  BERTH_ASSIGN_OR_RETURN(maps.groups_, Parse(kGroupMapLabel, groups->second));
  return std::optional<IdMaps>(std::move(maps));
}

absl::StatusOr<std::vector<IdMaps::Range>> IdMaps::Parse(absl::string_view label,
                                                         absl::string_view text) {
  std::vector<Range> ranges;
  for (const absl::string_view piece : absl::StrSplit(text, ',')) {
    const std::vector<absl::string_view> numbers = absl::StrSplit(piece, ':');
    Range range;
    constexpr uint32_t kMax = std::numeric_limits<uint32_t>::max();
    if (numbers.size() != 3 || !absl::SimpleAtoi(numbers[0], &range.inside) ||
        !absl::SimpleAtoi(numbers[1], &range.host) || !absl::SimpleAtoi(numbers[2], &range.size) ||
        range.size == 0 || range.inside > kMax - range.size || range.host > kMax - range.size) {
      return absl::InvalidArgumentError(
          absl::StrCat("label ", label, ": \"", text,
                       "\" is no map of ids; it must be INSIDE:HOST:SIZE, several with commas"));
    }
    ranges.push_back(range);
  }
  return ranges;
}

absl::StatusOr<uint32_t> IdMaps::Find(const std::vector<Range>& ranges, uint32_t inside,
                                      absl::string_view kind) {
  for (const Range& range : ranges) {
    if (inside >= range.inside && inside - range.inside < range.size) {
      return range.host + (inside - range.inside);
    }
  }
  return absl::InvalidArgumentError(
      absl::StrCat("the map of ids lacks ", kind, " ", inside,
                   ", to whom the root directory of the layers below belongs"));
}

}  // namespace berth::snapshots
