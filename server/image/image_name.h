// Names of images as the store holds them, and what people type for them.
//
// A typed name is completed as Docker does ("busybox" is docker.io/library/busybox:latest), but a
// stored name may be any text: other clients store what they like. Thread-safe functions.
#ifndef BERTH_SERVER_IMAGE_IMAGE_NAME_H_
#define BERTH_SERVER_IMAGE_IMAGE_NAME_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace berth::image {

// Under which stored names `text` may be found, best first.
std::vector<std::string> CandidateNames(absl::string_view text);
// Errors: INVALID_ARGUMENT, naming what is wrong.
absl::StatusOr<std::string> CompleteName(absl::string_view text);
// Whether both name the same repository, whatever their tags and digests.
bool SameRepository(absl::string_view a, absl::string_view b);
// Whether the name was made up by a program for an image that nobody named: "<none>@sha256:...",
// "moby-dangling@sha256:...", "import-2024@sha256:...". One that was pulled by digest has a host
// and is not.
bool IsDangling(absl::string_view stored_name);

}  // namespace berth::image

#endif  // BERTH_SERVER_IMAGE_IMAGE_NAME_H_
