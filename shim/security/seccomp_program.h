// A compiled seccomp filter: how it is named, kept, made and read back.
//
// The file is a header and an array of struct sock_filter; docs/formats/seccomp-cache.md has its
// bytes. Its name in the cache is the hash of the specification's section, libseccomp's version,
// the kernel's release and the architecture, so that whatever could change the result changes the
// name. Functions are thread-safe; the file is immutable once it has its name.
#ifndef BERTH_SHIM_SECURITY_SECCOMP_PROGRAM_H_
#define BERTH_SHIM_SECURITY_SECCOMP_PROGRAM_H_

#include <linux/filter.h>

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/os/unique_fd.h"

namespace berth::security {

struct SeccompHeader {
  char magic[8];   // "BERTHSC1"
  uint32_t flags;  // SECCOMP_FILTER_FLAG_*, with NEW_LISTENER when a rule notifies
  uint32_t count;  // instructions that follow
};

// The cache's file name for linux.seccomp section `json`.
std::string SeccompCacheName(absl::string_view json);

// Opens the cached program. Errors: NOT_FOUND; DATA_LOSS when the file is not whole.
absl::StatusOr<UniqueFd> OpenCachedSeccomp(const std::string& directory, const std::string& name);

// Compiles with libseccomp, which leaves 1.2 MB of heap behind: call it in a short-lived child.
// Writes header and program to `out`. Errors: INVALID_ARGUMENT with the JSON path; UNIMPLEMENTED
// for an action or architecture that libseccomp or the kernel lacks.
absl::Status CompileSeccomp(const std::string& json, BorrowedFd out);

// Keeps the program in `compiled` under `name`; `directory` is made with mode 0700.
absl::Status StoreSeccomp(const std::string& directory, const std::string& name,
                          BorrowedFd compiled);

// Loads the program read from `fd` into this process. For the child after clone3: returns an errno,
// 0 when loaded; `listener` gets the notify descriptor, or -1. Read first, while more system calls
// are allowed than the filter may leave. Allocates nothing.
class LoadedProgram {
 public:
  // Errors: errno. Requires: `fd` at its start; the buffer lives until Load.
  int Read(int fd);
  int Load(int* listener) const;
  bool notifies() const;

 private:
  SeccompHeader header_ = {};
  struct sock_filter filter_[BPF_MAXINSNS];  // in place: an exec's child may not allocate
};

}  // namespace berth::security

#endif  // BERTH_SHIM_SECURITY_SECCOMP_PROGRAM_H_
