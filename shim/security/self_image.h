// Keeps a container from overwriting the program that set it up (CVE-2019-5736's class).
//
// A container may execute /proc/self/exe, which is us, and then write to it. A program that runs
// from a read-only mount, or from a sealed memfd, cannot be opened for writing by anybody inside.
// A program that is linked with this and whose arguments hold one of the words "create", "run" and
// "exec" has moved itself onto such an image before its constructors ran (image_remap.h), or has
// executed itself from it where the kernel refuses that. Thread-hostile.
#ifndef BERTH_SHIM_SECURITY_SELF_IMAGE_H_
#define BERTH_SHIM_SECURITY_SELF_IMAGE_H_

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/os/unique_fd.h"

namespace berth::security {

// Returns when this program's image cannot be written to: at once where that is so already, else
// after executing itself again with the same arguments from a detached read-only mount of its file
// (or a sealed copy, where the kernel refuses that). Call it first in main. Errors: as the kernel
// says.
absl::Status ProtectSelfImage(char** argv);

// This program's image as something to execute that nobody can write to.
absl::StatusOr<UniqueFd> OpenProtectedSelf();

// The same of another program. Does not wait. Errors: as open(2); INVALID_ARGUMENT for what is no
// file.
absl::StatusOr<UniqueFd> OpenProtected(absl::string_view path);

}  // namespace berth::security

#endif  // BERTH_SHIM_SECURITY_SELF_IMAGE_H_
