// Small files of a root filesystem that is described by its mount, read without mounting it.
// Thread-safe function.
#ifndef BERTH_BASE_OCI_LAYERED_FILE_H_
#define BERTH_BASE_OCI_LAYERED_FILE_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace berth::oci {

// The directories that make up a root, top first: of an overlay mount its upper and lower ones, of
// any other its source.
std::vector<std::string> LayersOf(absl::string_view type, absl::string_view source,
                                  absl::Span<const std::string> options);

// `path` is relative ("etc/passwd"). Errors: NOT_FOUND when no layer has it, or a higher one
// removed it.
absl::StatusOr<std::string> ReadLayeredFile(absl::Span<const std::string> layers,
                                            absl::string_view path);

}  // namespace berth::oci

#endif  // BERTH_BASE_OCI_LAYERED_FILE_H_
