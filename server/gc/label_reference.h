// What a gc label refers to. Thread-safe functions.
#ifndef BERTH_SERVER_GC_LABEL_REFERENCE_H_
#define BERTH_SERVER_GC_LABEL_REFERENCE_H_

#include <optional>

#include "absl/strings/string_view.h"
#include "server/metadata/object.h"

namespace berth::gc {

inline constexpr char kRootLabel[] = "containerd.io/gc.root";

// containerd.io/gc.ref.{content,image}[.suffix or /suffix] = digest or name, and
// containerd.io/gc.ref.snapshot.<snapshotter>[/suffix] = key: the object with the label keeps the
// one it names, in its own namespace `ns`. Nothing for any other label.
std::optional<metadata::ObjectId> ForwardReference(absl::string_view ns, absl::string_view label,
                                                   absl::string_view value);

// containerd.io/gc.bref.{content,image,container,snapshot.<snapshotter>}: the object that is named
// keeps the one with the label.
std::optional<metadata::ObjectId> BackReference(absl::string_view ns, absl::string_view label,
                                                absl::string_view value);

}  // namespace berth::gc

#endif  // BERTH_SERVER_GC_LABEL_REFERENCE_H_
