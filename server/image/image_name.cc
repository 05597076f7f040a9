#include "server/image/image_name.h"

#include "absl/strings/match.h"
#include "base/reference/reference.h"
#include "base/status/status_macros.h"

namespace berth::image {

std::vector<std::string> CandidateNames(absl::string_view text) {
  std::vector<std::string> names;
  if (const absl::StatusOr<Reference> reference = Reference::Parse(text); reference.ok()) {
    names.push_back(reference->Full());
  }
  if (names.empty() || names[0] != text) names.emplace_back(text);
  return names;
}

absl::StatusOr<std::string> CompleteName(absl::string_view text) {
  BERTH_ASSIGN_OR_RETURN(const Reference reference, Reference::Parse(text));
  return reference.Full();
}

bool SameRepository(absl::string_view a, absl::string_view b) {
  const absl::StatusOr<Reference> first = Reference::Parse(a);
  const absl::StatusOr<Reference> second = Reference::Parse(b);
  return first.ok() && second.ok() && first->host() == second->host() &&
         first->path() == second->path();
}

bool IsDangling(absl::string_view stored_name) {
  if (absl::StartsWith(stored_name, "<none>") || absl::StartsWith(stored_name, "sha256:")) {
    return true;
  }
  const size_t at = stored_name.find('@');
  if (at == absl::string_view::npos) return false;
  const absl::string_view repository = stored_name.substr(0, at);
  return !absl::StrContains(repository, '/') && !absl::StrContains(repository, ':');
}

}  // namespace berth::image
