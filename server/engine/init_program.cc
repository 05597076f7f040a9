#include "server/engine/init_program.h"

#include <fcntl.h>

#include "absl/strings/str_cat.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "base/status/status_macros.h"

namespace berth::engine {
namespace {

constexpr size_t kLimitBytes = 64u << 20;

}  // namespace

absl::StatusOr<std::string> InitProgram::Ensure() {
  const std::string path = absl::StrCat(directory_, "/docker-init");
  MutexLock lock(&mutex_);
  if (is_made_) return path;
  BERTH_ASSIGN_OR_RETURN(const std::string program, ReadFile(source_, kLimitBytes),
                         _ << "the program of --init");
  BERTH_RETURN_IF_ERROR(EnsureDirectory(directory_, 0711));
  const absl::StatusOr<std::string> old = ReadFile(path, kLimitBytes);
  if (!old.ok() || *old != program) {
    BERTH_RETURN_IF_ERROR(
        ReplaceFileAt(BorrowedFd(AT_FDCWD), path, program, 0555, Durability::kUnsynced))
        << "the program of --init";
  }
  is_made_ = true;
  return path;
}

}  // namespace berth::engine
