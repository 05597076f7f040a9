#include "server/gc/label_reference.h"

#include <string>

#include "absl/strings/strip.h"

namespace berth::gc {
namespace {

using metadata::ObjectId;
using metadata::ObjectKind;

constexpr char kForwardPrefix[] = "containerd.io/gc.ref.";
constexpr char kBackPrefix[] = "containerd.io/gc.bref.";

// `rest` is what follows the kind's word: nothing, or a suffix that keeps several labels apart.
bool IsSuffix(absl::string_view rest) {
  return rest.empty() || rest.front() == '.' || rest.front() == '/';
}

std::optional<ObjectId> Parse(absl::string_view ns, absl::string_view rest,
                              absl::string_view value) {
  if (value.empty()) return std::nullopt;
  const auto object = [&](ObjectKind kind) {
    return ObjectId{kind, std::string(ns), std::string(value)};
  };
  absl::string_view tail = rest;
  if (absl::ConsumePrefix(&tail, "snapshot.")) {
    const absl::string_view snapshotter = tail.substr(0, tail.find('/'));
    if (snapshotter.empty()) return std::nullopt;
    return ObjectId{ObjectKind::kSnapshot, std::string(ns),
                    metadata::SnapshotObjectName(snapshotter, value)};
  }
  if (absl::ConsumePrefix(&tail, "content") && IsSuffix(tail)) return object(ObjectKind::kContent);
  tail = rest;
  if (absl::ConsumePrefix(&tail, "image") && IsSuffix(tail)) return object(ObjectKind::kImage);
  tail = rest;
  if (absl::ConsumePrefix(&tail, "container") && IsSuffix(tail)) {
    return object(ObjectKind::kContainer);
  }
  return std::nullopt;
}

}  // namespace

std::optional<ObjectId> ForwardReference(absl::string_view ns, absl::string_view label,
                                         absl::string_view value) {
  if (!absl::ConsumePrefix(&label, kForwardPrefix)) return std::nullopt;
  return Parse(ns, label, value);
}

std::optional<ObjectId> BackReference(absl::string_view ns, absl::string_view label,
                                      absl::string_view value) {
  if (!absl::ConsumePrefix(&label, kBackPrefix)) return std::nullopt;
  return Parse(ns, label, value);
}

}  // namespace berth::gc
