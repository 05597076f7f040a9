// Names of images: what users type ("busybox") and what the store holds
// ("docker.io/library/busybox:latest").
//
// Invariant: a Reference that exists has a registry host, a valid lower-case repository path, and a
// tag or a digest. Immutable value.
#ifndef BERTH_BASE_REFERENCE_REFERENCE_H_
#define BERTH_BASE_REFERENCE_REFERENCE_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace berth {

class Reference {
 public:
  // Completes a short name: docker.io, library/ and :latest where they are left out. Errors:
  // INVALID_ARGUMENT, naming what is wrong.
  static absl::StatusOr<Reference> Parse(absl::string_view text);

  const std::string& host() const { return host_; }
  const std::string& path() const { return path_; }
  const std::string& tag() const { return tag_; }        // may be empty when there is a digest
  const std::string& digest() const { return digest_; }  // "sha256:...", or empty

  // The full name, as the store holds it.
  std::string Full() const;
  // The shortest text that Parse turns into the same name; without the tag.
  std::string FamiliarRepository() const;
  // The same with tag and digest; ":latest" is shown.
  std::string Familiar() const;

 private:
  std::string host_;
  std::string path_;
  std::string tag_;
  std::string digest_;
};

// The familiar form of a stored name; a name that is no reference is returned as it is.
std::string FamiliarName(absl::string_view stored_name);

}  // namespace berth

#endif  // BERTH_BASE_REFERENCE_REFERENCE_H_
