#include "snapshotter/layer/layer_path.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace berth::layer {

absl::StatusOr<LayerPath> LayerPath::Parse(absl::string_view foreign) {
  std::string text;
  text.reserve(foreign.size());
  for (absl::string_view part : absl::StrSplit(foreign, '/')) {
    if (part.empty() || part == ".") continue;
    if (part == "..") {
      return absl::InvalidArgumentError(absl::StrCat(
          "path \"", foreign, "\" has a \"..\" part: refused, it could lead out of the layer"));
    }
    absl::StrAppend(&text, text.empty() ? "" : "/", part);
  }
  return LayerPath(std::move(text));
}

absl::string_view LayerPath::parent() const {
  const size_t slash = text_.rfind('/');
  return slash == std::string::npos ? absl::string_view()
                                    : absl::string_view(text_).substr(0, slash);
}

absl::string_view LayerPath::name() const {
  const size_t slash = text_.rfind('/');
  return slash == std::string::npos ? absl::string_view(text_)
                                    : absl::string_view(text_).substr(slash + 1);
}

}  // namespace berth::layer
