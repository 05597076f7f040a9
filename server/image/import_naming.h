// How the images of an archive are named: by the archive, by the caller, or both.
// Immutable values, thread-safe functions.
#ifndef BERTH_SERVER_IMAGE_IMPORT_NAMING_H_
#define BERTH_SERVER_IMAGE_IMPORT_NAMING_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace berth::image {

// containerd.types.transfer.ImageReference with is_prefix.
struct NamePrefix {
  std::string name;                  // a repository
  bool keeps_foreign_names = false;  // allow_overwrite: names outside of it stay, too
  bool adds_digest = false;          // also as name@digest
  bool skips_named_digest = false;   // no name@digest where there is a name
};

struct ImportNaming {
  std::vector<std::string> names;    // for an archive's only image, instead of its own
  std::vector<NamePrefix> prefixes;  // none: the archive's names as they are
  std::string default_repository;    // for images without a name, and names that are only a tag
};

// The names under which to store an image that its archive calls `given`. May be empty: then nobody
// wanted it. A nameless image without a repository to put it in is "<none>@digest".
std::vector<std::string> NamesFor(const ImportNaming& naming, const std::vector<std::string>& given,
                                  absl::string_view digest);

}  // namespace berth::image

#endif  // BERTH_SERVER_IMAGE_IMPORT_NAMING_H_
