// An image as Docker shows it: the fields of a list and the document of inspect.
//
// Thread-safe functions over immutable values.
#ifndef BERTH_CLIENT_DOCKER_DOCKER_IMAGE_H_
#define BERTH_CLIENT_DOCKER_DOCKER_IMAGE_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "client/sdk/connection.h"
#include "client/sdk/image_reader.h"
#include "client/sdk/json_access.h"

namespace berth::client {

// What a name says. An image that has none but its digest is "<none>" in both parts.
struct ImageName {
  std::string repository = "<none>";
  std::string tag = "<none>";
  bool is_dangling() const { return tag == "<none>"; }
};
ImageName NameOfImage(absl::string_view record_name);

// Whether "busybox", "busybox:1*" or "*/tools/*" (--filter reference) fits.
bool MatchesReference(const ImageName& name, absl::string_view pattern);

// When it was made, as its config says; else when its record was.
absl::Time CreationOf(const ResolvedImage& image);

// Docker's document, with every name of the image. Asks the server for the config. Errors:
// NOT_FOUND when a blob is missing.
absl::StatusOr<Json> DockerImageDocument(const Connection& connection, const ResolvedImage& image);

}  // namespace berth::client

#endif  // BERTH_CLIENT_DOCKER_DOCKER_IMAGE_H_
