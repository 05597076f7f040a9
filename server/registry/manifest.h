// Manifests and indexes as bytes with a type.
//
// Pure functions over foreign bytes.
#ifndef BERTH_SERVER_REGISTRY_MANIFEST_H_
#define BERTH_SERVER_REGISTRY_MANIFEST_H_

#include <cstddef>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace berth::registry {

inline constexpr size_t kMaxManifestBytes = 8u << 20;

// OCI and Docker manifests and indexes, by media type.
bool IsManifestType(absl::string_view media_type);
// What to put into Accept.
std::string AcceptManifests();
// The media type of a manifest, from what the registry says and what stands in it. Errors:
// INVALID_ARGUMENT for what is no manifest; UNIMPLEMENTED for Docker's schema 1.
absl::StatusOr<std::string> ManifestType(absl::string_view content_type, const std::string& bytes);
// The digest in "subject" of a manifest; empty where there is none.
std::string SubjectOf(const std::string& bytes);

}  // namespace berth::registry

#endif  // BERTH_SERVER_REGISTRY_MANIFEST_H_
