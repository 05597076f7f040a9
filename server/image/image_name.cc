#include "server/image/image_name.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/digest/digest.h"

namespace berth::image {
namespace {

constexpr absl::string_view kDefaultHost = "docker.io";
constexpr absl::string_view kDefaultNamespace = "library/";
constexpr absl::string_view kDefaultTag = "latest";

struct Parts {
  absl::string_view repository;
  absl::string_view tag;
  absl::string_view digest;
};

Parts Split(absl::string_view text) {
  Parts parts;
  if (const size_t at = text.find('@'); at != absl::string_view::npos) {
    parts.digest = text.substr(at + 1);
    text = text.substr(0, at);
  }
  // A colon after the last slash begins the tag; one before it belongs to a port.
  const size_t slash = text.rfind('/');
  const size_t colon = text.rfind(':');
  if (colon != absl::string_view::npos && (slash == absl::string_view::npos || colon > slash)) {
    parts.tag = text.substr(colon + 1);
    text = text.substr(0, colon);
  }
  parts.repository = text;
  return parts;
}

// With host and, on Docker's hub, namespace.
std::string FullRepository(absl::string_view repository) {
  const size_t slash = repository.find('/');
  if (slash != absl::string_view::npos) {
    const absl::string_view first = repository.substr(0, slash);
    if (first == "index.docker.io") {
      return FullRepository(absl::StrCat(kDefaultHost, repository.substr(slash)));
    }
    if (first == kDefaultHost) {
      const absl::string_view path = repository.substr(slash + 1);
      return absl::StrCat(kDefaultHost, "/", absl::StrContains(path, '/') ? "" : kDefaultNamespace,
                          path);
    }
    const bool is_host = first == "localhost" || absl::StrContains(first, '.') ||
                         absl::StrContains(first, ':') ||
                         std::any_of(first.begin(), first.end(), absl::ascii_isupper);
    if (is_host) return std::string(repository);
    return absl::StrCat(kDefaultHost, "/", repository);
  }
  return absl::StrCat(kDefaultHost, "/", kDefaultNamespace, repository);
}

std::string Complete(const Parts& parts) {
  const absl::string_view tag = parts.tag.empty() && parts.digest.empty() ? kDefaultTag : parts.tag;
  return absl::StrCat(FullRepository(parts.repository), tag.empty() ? "" : ":", tag,
                      parts.digest.empty() ? "" : "@", parts.digest);
}

}  // namespace

std::vector<std::string> CandidateNames(absl::string_view text) {
  std::vector<std::string> names = {std::string(text)};
  const std::string full = Complete(Split(text));
  if (full != text) names.insert(names.begin(), full);
  return names;
}

absl::StatusOr<std::string> CompleteName(absl::string_view text) {
  const Parts parts = Split(text);
  const auto is_plain = [](char c) {
    return absl::ascii_islower(c) || absl::ascii_isdigit(c) || c == '.' || c == '_' || c == '-' ||
           c == '/';
  };
  const std::string repository = FullRepository(parts.repository);
  const size_t slash = repository.find('/');
  const absl::string_view path = absl::string_view(repository).substr(slash + 1);
  if (parts.repository.empty() || path.empty() ||
      !std::all_of(path.begin(), path.end(), is_plain) ||
      (!parts.digest.empty() && !Digest::Parse(parts.digest).ok())) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", text,
                     "\" is no image name: expected [HOST[:PORT]/]PATH[:TAG][@DIGEST] with a path "
                     "of lower-case letters and digits, for example busybox:1.36"));
  }
  return Complete(parts);
}

bool SameRepository(absl::string_view a, absl::string_view b) {
  return FullRepository(Split(a).repository) == FullRepository(Split(b).repository);
}

bool IsDangling(absl::string_view stored_name) {
  if (absl::StartsWith(stored_name, "<none>") || absl::StartsWith(stored_name, "sha256:")) {
    return true;
  }
  const Parts parts = Split(stored_name);
  return !parts.digest.empty() && parts.tag.empty() && !absl::StrContains(parts.repository, '/');
}

}  // namespace berth::image
