#include "shim/security/seccomp_program.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <sha256.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cstring>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"

namespace berth::security {
namespace {

constexpr char kMagic[8] = {'B', 'E', 'R', 'T', 'H', 'S', 'C', '1'};

}  // namespace

std::string SeccompCacheName(absl::string_view json) {
  struct utsname system = {};
  ::uname(&system);
  const struct scmp_version* version = ::seccomp_version();
  const std::string salt =
      absl::StrCat("berth 2\n", version->major, ".", version->minor, ".", version->micro, "\n",
                   system.release, "\n", system.machine, "\n");
  SHA2_CTX context;
  ::SHA256Init(&context);
  ::SHA256Update(&context, reinterpret_cast<const uint8_t*>(salt.data()), salt.size());
  ::SHA256Update(&context, reinterpret_cast<const uint8_t*>(json.data()), json.size());
  uint8_t digest[SHA256_DIGEST_LENGTH];
  ::SHA256Final(digest, &context);
  return absl::StrCat(
      absl::BytesToHexString(absl::string_view(reinterpret_cast<char*>(digest), sizeof(digest))),
      ".bpf");
}

absl::StatusOr<UniqueFd> OpenCachedSeccomp(const std::string& directory, const std::string& name) {
  BERTH_ASSIGN_OR_RETURN(UniqueFd fd, OpenFile(absl::StrCat(directory, "/", name), O_RDONLY));
  SeccompHeader header;
  struct stat info;
  if (::pread(fd.get(), &header, sizeof(header), 0) != sizeof(header) ||
      ::memcmp(header.magic, kMagic, sizeof(kMagic)) != 0 || ::fstat(fd.get(), &info) != 0 ||
      static_cast<size_t>(info.st_size) !=
          sizeof(header) + header.count * sizeof(struct sock_filter)) {
    return absl::DataLossError(absl::StrCat("seccomp cache file ", name, " is not whole"));
  }
  return fd;
}

absl::Status StoreSeccomp(const std::string& directory, const std::string& name,
                          BorrowedFd compiled) {
  BERTH_RETURN_IF_ERROR(EnsureDirectory(directory, 0700));
  if (::lseek(compiled.get(), 0, SEEK_SET) < 0) return ErrnoStatus(errno, "rewind", name);
  BERTH_ASSIGN_OR_RETURN(const std::string bytes, ReadAll(compiled, 1u << 22));
  BERTH_ASSIGN_OR_RETURN(const UniqueFd at, OpenFile(directory, O_RDONLY | O_DIRECTORY));
  return ReplaceFileAt(at, name, bytes, 0600, Durability::kUnsynced);
}

int LoadedProgram::Read(int fd) {
  if (::pread(fd, &header_, sizeof(header_), 0) != sizeof(header_)) return EIO;
  if (::memcmp(header_.magic, kMagic, sizeof(kMagic)) != 0 || header_.count > BPF_MAXINSNS) {
    return EINVAL;
  }
  const ssize_t size = static_cast<ssize_t>(header_.count * sizeof(struct sock_filter));
  return ::pread(fd, filter_, static_cast<size_t>(size), sizeof(header_)) == size ? 0 : EIO;
}

bool LoadedProgram::notifies() const {
  return (header_.flags & SECCOMP_FILTER_FLAG_NEW_LISTENER) != 0;
}

int LoadedProgram::Load(int* listener) const {
  struct sock_fprog program;
  program.len = static_cast<unsigned short>(header_.count);
  program.filter = const_cast<struct sock_filter*>(filter_);
  *listener = -1;
  uint32_t flags = header_.flags;
  // With a listener, a failed thread sync must be told apart from the listener's descriptor.
  if (notifies() && (flags & SECCOMP_FILTER_FLAG_TSYNC) != 0) {
    flags |= SECCOMP_FILTER_FLAG_TSYNC_ESRCH;
  }
  const long result = ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
  if (result < 0) return errno;
  if (notifies()) *listener = static_cast<int>(result);
  return 0;
}

}  // namespace berth::security
