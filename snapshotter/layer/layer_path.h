// The path of an archive member, checked: relative, without "." and ".." and empty parts.
//
// Invariant: a LayerPath names something strictly below the root of the layer, as text; where links
// lead is for openat2 to see. Immutable value.
#ifndef BERTH_SNAPSHOTTER_LAYER_LAYER_PATH_H_
#define BERTH_SNAPSHOTTER_LAYER_LAYER_PATH_H_

#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace berth::layer {

class LayerPath {
 public:
  // A leading "/" means the layer's root. The root itself has an empty text. Errors:
  // INVALID_ARGUMENT for a ".." part.
  static absl::StatusOr<LayerPath> Parse(absl::string_view foreign);

  bool is_root() const { return text_.empty(); }
  const std::string& text() const { return text_; }  // "usr/bin/env"
  absl::string_view parent() const;                  // "usr/bin", empty for the root
  absl::string_view name() const;                    // "env"

 private:
  explicit LayerPath(std::string text) : text_(std::move(text)) {}
  std::string text_;
};

}  // namespace berth::layer

#endif  // BERTH_SNAPSHOTTER_LAYER_LAYER_PATH_H_
