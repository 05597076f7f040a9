#include "server/main/server_identity.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "base/os/file_io.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"

namespace berth {
namespace {

constexpr size_t kUuidLength = 36;

bool IsUuid(absl::string_view text) {
  if (text.size() != kUuidLength) return false;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    if (dash ? text[i] != '-' : !absl::ascii_isxdigit(static_cast<unsigned char>(text[i]))) {
      return false;
    }
  }
  return true;
}

absl::StatusOr<std::string> LoadUuid(absl::string_view root) {
  const std::string path = absl::StrCat(root, "/uuid");
  if (const auto stored = ReadFile(path, 4096); stored.ok()) {
    const absl::string_view uuid = absl::StripAsciiWhitespace(*stored);
    if (IsUuid(uuid)) return std::string(uuid);
  } else if (ErrnoOf(stored.status()) != ENOENT) {
    return stored.status();
  }
  BERTH_ASSIGN_OR_RETURN(std::string uuid, ReadFile("/proc/sys/kernel/random/uuid", 4096));
  absl::StripAsciiWhitespace(&uuid);
  BERTH_RETURN_IF_ERROR(ReplaceFileAt(BorrowedFd(AT_FDCWD), path, absl::StrCat(uuid, "\n"), 0644,
                                      Durability::kSynced));
  return uuid;
}

}  // namespace

absl::StatusOr<ServerIdentity> LoadServerIdentity(absl::string_view root) {
  ServerIdentity identity;
  BERTH_ASSIGN_OR_RETURN(identity.uuid, LoadUuid(root), _ << "the server's identity");
  identity.pid = static_cast<uint64_t>(::getpid());
  struct stat info;
  if (::stat("/proc/self/ns/pid", &info) != 0) {
    return ErrnoStatus(errno, "stat", "/proc/self/ns/pid");
  }
  identity.pid_namespace = info.st_ino;
  return identity;
}

}  // namespace berth
