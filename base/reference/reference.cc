#include "base/reference/reference.h"

#include <algorithm>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/digest/digest.h"
#include "base/status/status_macros.h"

namespace berth {
namespace {

constexpr char kDefaultHost[] = "docker.io";
constexpr char kDefaultNamespace[] = "library/";
constexpr char kDefaultTag[] = "latest";
constexpr size_t kMaxPathLength = 255;
constexpr size_t kImageIdLength = 64;
constexpr size_t kMaxTagLength = 128;

absl::Status Invalid(absl::string_view text, absl::string_view why) {
  return absl::InvalidArgumentError(
      absl::StrCat("\"", text, "\" is no image name: ", why,
                   " (expected [HOST[:PORT]/]PATH[:TAG][@DIGEST], for example busybox:1.36)"));
}

bool IsLowerAlnum(char c) { return absl::ascii_islower(c) || absl::ascii_isdigit(c); }

// Lower-case letters and digits, joined by one '.', one or two '_', or any number of '-'.
bool IsPathComponent(absl::string_view component) {
  if (component.empty() || !IsLowerAlnum(component.front()) || !IsLowerAlnum(component.back())) {
    return false;
  }
  for (size_t i = 0; i < component.size();) {
    if (IsLowerAlnum(component[i])) {
      ++i;
      continue;
    }
    const size_t begin = i;
    while (i < component.size() && component[i] == component[begin]) ++i;
    const size_t run = i - begin;
    const bool joined = (component[begin] == '.' && run == 1) ||
                        (component[begin] == '_' && run <= 2) || component[begin] == '-';
    if (!joined || !IsLowerAlnum(component[i])) return false;
  }
  return true;
}

bool IsTag(absl::string_view tag) {
  if (tag.empty() || tag.size() > kMaxTagLength) return false;
  if (!absl::ascii_isalnum(tag[0]) && tag[0] != '_') return false;
  return std::all_of(tag.begin(), tag.end(), [](char c) {
    return absl::ascii_isalnum(c) || c == '_' || c == '.' || c == '-';
  });
}

template <typename Predicate>
bool IsAll(absl::string_view text, Predicate predicate) {
  return !text.empty() && std::all_of(text.begin(), text.end(), predicate);
}

// Docker's grammar takes any digits for a port.
bool IsHost(absl::string_view host) {
  absl::string_view name = host;
  // The last colon of "[::1]" is no port's.
  if (const size_t colon = host.rfind(':');
      colon != absl::string_view::npos && !absl::EndsWith(host, "]")) {
    if (!IsAll(host.substr(colon + 1), absl::ascii_isdigit)) return false;
    name = host.substr(0, colon);
  }
  if (absl::StartsWith(name, "[") && absl::EndsWith(name, "]")) {
    return IsAll(name.substr(1, name.size() - 2),
                 [](char c) { return absl::ascii_isxdigit(c) || c == ':'; });
  }
  for (absl::string_view label : absl::StrSplit(name, '.')) {
    if (label.empty() || label.front() == '-' || label.back() == '-') return false;
    if (!std::all_of(label.begin(), label.end(),
                     [](char c) { return absl::ascii_isalnum(c) || c == '-'; })) {
      return false;
    }
  }
  return true;
}

// The first component is a host when it could not be a path component of Docker's hub.
bool LooksLikeHost(absl::string_view first) {
  return first == "localhost" || absl::StrContains(first, '.') || absl::StrContains(first, ':') ||
         std::any_of(first.begin(), first.end(), absl::ascii_isupper);
}

}  // namespace

absl::StatusOr<Reference> Reference::Parse(absl::string_view text) {
  if (text.size() == kImageIdLength &&
      IsAll(text, [](char c) { return absl::ascii_isdigit(c) || (c >= 'a' && c <= 'f'); })) {
    return Invalid(text, "64 hexadecimal digits are the id of an image");
  }
  Reference reference;
  absl::string_view rest = text;
  if (const size_t at = rest.find('@'); at != absl::string_view::npos) {
    absl::StatusOr<Digest> digest = Digest::Parse(rest.substr(at + 1));
    if (!digest.ok()) return Invalid(text, digest.status().message());
    reference.digest_ = digest->text();
    rest = rest.substr(0, at);
  }
  // A colon after the last slash starts the tag; one before it belongs to a port.
  const size_t slash = rest.rfind('/');
  const size_t colon = rest.rfind(':');
  if (colon != absl::string_view::npos && (slash == absl::string_view::npos || colon > slash)) {
    reference.tag_ = std::string(rest.substr(colon + 1));
    if (!IsTag(reference.tag_)) return Invalid(text, "the tag is malformed");
    rest = rest.substr(0, colon);
  }
  if (rest.empty()) return Invalid(text, "the path is empty");

  const size_t first_slash = rest.find('/');
  if (first_slash != absl::string_view::npos && LooksLikeHost(rest.substr(0, first_slash))) {
    reference.host_ = std::string(rest.substr(0, first_slash));
    reference.path_ = std::string(rest.substr(first_slash + 1));
    if (!IsHost(reference.host_)) return Invalid(text, "the host is malformed");
    if (reference.host_ == "index.docker.io") reference.host_ = kDefaultHost;
  } else {
    reference.host_ = kDefaultHost;
    reference.path_ = std::string(rest);
  }
  if (reference.host_ == kDefaultHost && !absl::StrContains(reference.path_, '/')) {
    reference.path_ = absl::StrCat(kDefaultNamespace, reference.path_);
  }
  for (absl::string_view component : absl::StrSplit(reference.path_, '/')) {
    if (!IsPathComponent(component)) {
      return Invalid(text, absl::StrCat("\"", component,
                                        "\" is not lower-case letters and digits joined by single "
                                        "'.', '_' or '-'"));
    }
  }
  if (reference.path_.size() > kMaxPathLength) {
    return Invalid(text, "its path is longer than 255 characters");
  }
  if (reference.tag_.empty() && reference.digest_.empty()) reference.tag_ = kDefaultTag;
  return reference;
}

std::string Reference::Full() const {
  return absl::StrCat(host_, "/", path_, tag_.empty() ? "" : ":", tag_, digest_.empty() ? "" : "@",
                      digest_);
}

std::string Reference::FamiliarRepository() const {
  if (host_ != kDefaultHost) return absl::StrCat(host_, "/", path_);
  const absl::string_view short_path = absl::StripPrefix(path_, kDefaultNamespace);
  if (!absl::StrContains(short_path, '/')) return std::string(short_path);
  // "docker.io/library/a/b" keeps its namespace, and "docker.io/x.org/a" its host: "a/b" and
  // "x.org/a" would be other names.
  const bool needs_host = LooksLikeHost(absl::string_view(path_).substr(0, path_.find('/')));
  return needs_host ? absl::StrCat(host_, "/", path_) : path_;
}

std::string Reference::Familiar() const {
  return absl::StrCat(FamiliarRepository(), tag_.empty() ? "" : ":", tag_,
                      digest_.empty() ? "" : "@", digest_);
}

std::string FamiliarName(absl::string_view stored_name) {
  absl::StatusOr<Reference> reference = Reference::Parse(stored_name);
  return reference.ok() ? reference->Familiar() : std::string(stored_name);
}

}  // namespace berth
