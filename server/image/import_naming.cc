#include "server/image/import_naming.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/image/image_name.h"

namespace berth::image {
namespace {

bool IsOnlyTag(absl::string_view name) { return name.find_first_of("/:@") == name.npos; }

bool IsBelow(absl::string_view name, absl::string_view prefix) {
  if (!absl::StartsWith(name, prefix)) return false;
  return name.size() == prefix.size() ||
         absl::string_view("/:@").find(name[prefix.size()]) != absl::string_view::npos;
}

std::string Completed(const std::string& name) { return CompleteName(name).value_or(name); }

void AddOnce(std::vector<std::string>& names, std::string name) {
  if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(std::move(name));
}

}  // namespace

std::vector<std::string> NamesFor(const ImportNaming& naming, const std::vector<std::string>& given,
                                  absl::string_view digest) {
  std::vector<std::string> names;
  for (const NamePrefix& prefix : naming.prefixes) {
    bool is_named = false;
    for (const std::string& name : given) {
      std::string full = IsOnlyTag(name) ? absl::StrCat(prefix.name, ":", name) : Completed(name);
      const bool is_below = IsBelow(full, prefix.name) || IsBelow(name, prefix.name);
      if (!prefix.keeps_foreign_names && !IsOnlyTag(name) && !is_below) continue;
      AddOnce(names, std::move(full));
      is_named = true;
    }
    if (prefix.adds_digest && !(is_named && prefix.skips_named_digest)) {
      AddOnce(names, absl::StrCat(prefix.name, "@", digest));
    }
  }
  if (!naming.prefixes.empty()) return names;
  for (const std::string& name : given) {
    if (!IsOnlyTag(name)) {
      AddOnce(names, Completed(name));
    } else if (!naming.default_repository.empty()) {
      AddOnce(names, Completed(absl::StrCat(naming.default_repository, ":", name)));
    } else {
      // docker save writes "repository:tag"; a bare word is an OCI layout's tag, or its name.
      AddOnce(names, Completed(name));
    }
  }
  if (names.empty()) {
    AddOnce(names, naming.default_repository.empty()
                       ? absl::StrCat("<none>@", digest)
                       : Completed(absl::StrCat(naming.default_repository, "@", digest)));
  }
  return names;
}

}  // namespace berth::image
