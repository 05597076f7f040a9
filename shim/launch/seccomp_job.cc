#include "shim/launch/seccomp_job.h"

#include <errno.h>
#include <sys/mman.h>

#include <utility>

#include "base/status/errno_status.h"
#include "base/status/status_macros.h"
#include "shim/security/seccomp_program.h"

namespace berth::launch {
namespace {

// In the child.
absl::Status CompileAndKeep(const std::string& json, const std::string& cache_directory,
                            const std::string& name, BorrowedFd program) {
  BERTH_RETURN_IF_ERROR(security::CompileSeccomp(json, program));
  // A cache that cannot be written costs the next start a compilation, and this one nothing.
  if (!cache_directory.empty()) {
    security::StoreSeccomp(cache_directory, name, program).IgnoreError();
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status SeccompJob::Open(const std::string& json, const std::string& cache_directory) {
  cache_directory_ = cache_directory;
  if (!cache_directory.empty()) {
    name_ = security::SeccompCacheName(json);
    absl::StatusOr<UniqueFd> cached = security::OpenCachedSeccomp(cache_directory, name_);
    if (cached.ok()) {
      program_ = *std::move(cached);
      ready_ = true;
      return absl::OkStatus();
    }
  }
  program_.Reset(::memfd_create("berth-seccomp", MFD_CLOEXEC));
  return program_.valid() ? absl::OkStatus() : ErrnoStatus(errno, "memfd_create");
}

absl::Status SeccompJob::Compile(const std::string& json,
                                 absl::AnyInvocable<void(absl::Status)> done) {
  return compiler_.Start([&] { return CompileAndKeep(json, cache_directory_, name_, program_); },
                         [this, done = std::move(done)](absl::Status status) mutable {
                           ready_ = status.ok();
                           done(std::move(status));
                         });
}

}  // namespace berth::launch
