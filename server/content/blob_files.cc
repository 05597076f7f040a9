#include "server/content/blob_files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"

namespace berth::content {
namespace {

constexpr DigestAlgorithm kAlgorithms[] = {DigestAlgorithm::kSha256, DigestAlgorithm::kSha384,
                                           DigestAlgorithm::kSha512};
constexpr mode_t kDirectoryMode = 0711;

absl::StatusOr<UniqueFd> OpenMade(const std::string& path, mode_t mode) {
  BERTH_RETURN_IF_ERROR(EnsureDirectory(path, mode));
  return OpenFile(path, O_RDONLY | O_DIRECTORY);
}

absl::Status UnlinkAt(BorrowedFd directory, const std::string& name) {
  if (::unlinkat(directory.get(), name.c_str(), 0) == 0 || errno == ENOENT) {
    return absl::OkStatus();
  }
  return ErrnoStatus(errno, "unlink", name);
}

// "sha256/<hex>.<upload>.new": a name on the way to being a blob's.
std::string TemporaryName(const std::string& path, absl::string_view file) {
  return absl::StrCat(path, ".", file, ".new");
}

}  // namespace

absl::StatusOr<std::unique_ptr<BlobFiles>> BlobFiles::Open(absl::string_view directory) {
  const std::string root(directory);
  BERTH_ASSIGN_OR_RETURN(UniqueFd blobs, OpenMade(root + "/blobs", kDirectoryMode));
  BERTH_ASSIGN_OR_RETURN(UniqueFd ingest, OpenMade(root + "/ingest", 0700));
  BERTH_ASSIGN_OR_RETURN(UniqueFd quarantine, OpenMade(root + "/quarantine", 0700));
  for (DigestAlgorithm algorithm : kAlgorithms) {
    BERTH_RETURN_IF_ERROR(EnsureDirectory(
        absl::StrCat(root, "/blobs/", DigestAlgorithmName(algorithm)), kDirectoryMode));
  }
  BERTH_RETURN_IF_ERROR(SyncDirectory(root + "/blobs"));
  BERTH_RETURN_IF_ERROR(SyncDirectory(root));
  return std::unique_ptr<BlobFiles>(
      new BlobFiles(root, std::move(blobs), std::move(ingest), std::move(quarantine)));
}

std::string BlobFiles::PathOf(const Digest& digest) {
  return absl::StrCat(DigestAlgorithmName(digest.algorithm()), "/", digest.hex());
}

absl::StatusOr<BlobFile> BlobFiles::OpenBlob(const Digest& digest) const {
  BERTH_ASSIGN_OR_RETURN(UniqueFd fd, OpenAt(blobs_, PathOf(digest), O_RDONLY | O_NOFOLLOW));
  struct stat info;
  if (::fstat(fd.get(), &info) != 0) return ErrnoStatus(errno, "fstat", digest.text());
  return BlobFile{std::move(fd), static_cast<uint64_t>(info.st_size)};
}

absl::Status BlobFiles::Publish(absl::string_view file, BorrowedFd data,
                                const Digest& digest) const {
  if (::fchmod(data.get(), 0444) != 0) return ErrnoStatus(errno, "fchmod", file);
  if (::fdatasync(data.get()) != 0) return ErrnoStatus(errno, "fdatasync", file);
  const std::string path = PathOf(digest);
  const std::string temporary = TemporaryName(path, file);
  BERTH_RETURN_IF_ERROR(UnlinkAt(blobs_, temporary));
  if (::linkat(ingest_.get(), std::string(file).c_str(), blobs_.get(), temporary.c_str(), 0) != 0) {
    return ErrnoStatus(errno, "link", temporary);
  }
  const int renamed = ::renameat(blobs_.get(), temporary.c_str(), blobs_.get(), path.c_str());
  const int rename_errno = errno;
  // rename(2) of two names of one file does nothing and succeeds, which leaves the temporary one.
  BERTH_RETURN_IF_ERROR(UnlinkAt(blobs_, temporary));
  if (renamed != 0) return ErrnoStatus(rename_errno, "rename", path);
  return SyncDirectory(
      absl::StrCat(directory_, "/blobs/", DigestAlgorithmName(digest.algorithm())));
}

absl::Status BlobFiles::RemoveBlob(const Digest& digest) const {
  return UnlinkAt(blobs_, PathOf(digest));
}

absl::Status BlobFiles::Quarantine(const Digest& digest, absl::Time now) const {
  const std::string name = absl::StrCat(DigestAlgorithmName(digest.algorithm()), "-", digest.hex(),
                                        ".", absl::ToUnixNanos(now));
  if (::renameat(blobs_.get(), PathOf(digest).c_str(), quarantine_.get(), name.c_str()) != 0) {
    return ErrnoStatus(errno, "rename", digest.text());
  }
  return absl::OkStatus();
}

absl::StatusOr<UniqueFd> BlobFiles::OpenIngest(absl::string_view file) const {
  return OpenAt(ingest_, file, O_RDWR | O_CREAT | O_NOFOLLOW, 0600);
}

absl::StatusOr<IngestFile> BlobFiles::StatIngest(absl::string_view file) const {
  struct stat info;
  if (::fstatat(ingest_.get(), std::string(file).c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
    return ErrnoStatus(errno, "fstatat", file);
  }
  return IngestFile{static_cast<uint64_t>(info.st_size), absl::TimeFromTimespec(info.st_mtim)};
}

absl::Status BlobFiles::RemoveIngest(absl::string_view file) const {
  return UnlinkAt(ingest_, std::string(file));
}

absl::StatusOr<std::vector<Digest>> BlobFiles::ListBlobs() const {
  std::vector<Digest> digests;
  for (DigestAlgorithm algorithm : kAlgorithms) {
    const absl::string_view name = DigestAlgorithmName(algorithm);
    BERTH_ASSIGN_OR_RETURN(const UniqueFd directory, OpenAt(blobs_, name, O_RDONLY | O_DIRECTORY));
    BERTH_ASSIGN_OR_RETURN(const std::vector<std::string> files, ListDirectory(directory));
    for (const std::string& file : files) {
      absl::StatusOr<Digest> digest = Digest::Parse(absl::StrCat(name, ":", file));
      if (digest.ok()) digests.push_back(*std::move(digest));
    }
  }
  return digests;
}

absl::StatusOr<std::vector<std::string>> BlobFiles::ListIngests() const {
  BERTH_ASSIGN_OR_RETURN(const UniqueFd directory, OpenAt(ingest_, ".", O_RDONLY | O_DIRECTORY));
  return ListDirectory(directory);
}

}  // namespace berth::content
