// How the ids of a user namespace are those of the host, as the labels of a snapshot say it.
//
// Invariant: no range is empty or ends beyond 32 bits. Immutable value.
#ifndef BERTH_SNAPSHOTTER_OVERLAY_ID_MAPS_H_
#define BERTH_SNAPSHOTTER_OVERLAY_ID_MAPS_H_

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "snapshotter/api/snapshotter.h"

namespace berth::snapshots {

inline constexpr char kUserMapLabel[] = "containerd.io/snapshot/uidmapping";
inline constexpr char kGroupMapLabel[] = "containerd.io/snapshot/gidmapping";

class IdMaps {
 public:
  // None without the labels. Errors: INVALID_ARGUMENT for one without the other, and for what is no
  // list of "INSIDE:HOST:SIZE", separated by commas.
  static absl::StatusOr<std::optional<IdMaps>> FromLabels(const Labels& labels);

  // Errors: INVALID_ARGUMENT for an id that the namespace has not.
  absl::StatusOr<uid_t> HostUser(uid_t inside) const { return Find(users_, inside, "user"); }
  absl::StatusOr<gid_t> HostGroup(gid_t inside) const { return Find(groups_, inside, "group"); }

 private:
  struct Range {
    uint32_t inside = 0;
    uint32_t host = 0;
    uint32_t size = 0;
  };
  static absl::StatusOr<std::vector<Range>> Parse(absl::string_view label, absl::string_view text);
  static absl::StatusOr<uint32_t> Find(const std::vector<Range>& ranges, uint32_t inside,
                                       absl::string_view kind);

  std::vector<Range> users_;
  std::vector<Range> groups_;
};

}  // namespace berth::snapshots

#endif  // BERTH_SNAPSHOTTER_OVERLAY_ID_MAPS_H_
