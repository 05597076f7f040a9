#include "client/sdk/local_archive.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <unistd.h>

#include <memory>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "base/status/status_macros.h"
#include "client/sdk/late_libarchive.h"

namespace berth::client {
namespace {

constexpr size_t kBlockBytes = 64 << 10;

struct FreeReader {
  void operator()(archive* a) const { archive_read_free(a); }
};
struct FreeWriter {
  void operator()(archive* a) const { archive_write_free(a); }
};
struct FreeEntry {
  void operator()(archive_entry* e) const { archive_entry_free(e); }
};
using Reader = std::unique_ptr<archive, FreeReader>;
using Writer = std::unique_ptr<archive, FreeWriter>;
using Entry = std::unique_ptr<archive_entry, FreeEntry>;

absl::Status Failure(archive* a, absl::string_view what) {
  const char* reason = archive_error_string(a);
  return absl::InternalError(absl::StrCat(what, ": ", reason == nullptr ? "failed" : reason));
}

// The data of one file; holes are written as zeros.
absl::Status CopyData(archive* from, archive* to, absl::string_view path) {
  static const std::string& zeros = *new std::string(kBlockBytes, '\0');
  int64_t position = 0;
  while (true) {
    const void* block = nullptr;
    size_t size = 0;
    la_int64_t offset = 0;
    const int status = archive_read_data_block(from, &block, &size, &offset);
    if (status == ARCHIVE_EOF) return absl::OkStatus();
    if (status < ARCHIVE_WARN) return Failure(from, absl::StrCat("read ", path));
    while (position < offset) {
      const auto gap = static_cast<size_t>(
          std::min<int64_t>(offset - position, static_cast<int64_t>(kBlockBytes)));
      if (archive_write_data(to, zeros.data(), gap) < 0) return Failure(to, "write the archive");
      position += static_cast<int64_t>(gap);
    }
    if (archive_write_data(to, block, size) < 0) return Failure(to, "write the archive");
    position += static_cast<int64_t>(size);
  }
}

// "/src/a/b" below "/src" as "name/a/b".
std::string NameBelow(absl::string_view path, absl::string_view top, const std::string& name) {
  absl::ConsumePrefix(&path, top);
  path = absl::StripPrefix(path, "/");
  return path.empty() ? name : absl::StrCat(name, "/", path);
}

std::string Renamed(absl::string_view path, const Renaming& renaming) {
  path = absl::StripPrefix(path, "./");
  if (renaming.from.empty()) return std::string(path);
  // What is in the root has no first part that could be replaced.
  if (renaming.from == "/" || renaming.from == ".") {
    return path.empty() || path == "." ? renaming.to : absl::StrCat(renaming.to, "/", path);
  }
  absl::string_view rest = absl::StripSuffix(path, "/");
  if (rest == renaming.from) return renaming.to;
  if (absl::ConsumePrefix(&rest, absl::StrCat(renaming.from, "/"))) {
    return absl::StrCat(renaming.to, "/", rest);
  }
  return std::string(path);
}

absl::StatusOr<Writer> OpenDiskWriter(OwnerMode owners) {
  Writer disk(archive_write_disk_new());
  int flags = ARCHIVE_EXTRACT_TIME | ARCHIVE_EXTRACT_PERM | ARCHIVE_EXTRACT_UNLINK |
              ARCHIVE_EXTRACT_SECURE_NODOTDOT | ARCHIVE_EXTRACT_SECURE_NOABSOLUTEPATHS |
              ARCHIVE_EXTRACT_SECURE_SYMLINKS;
  if (owners == OwnerMode::kArchived) flags |= ARCHIVE_EXTRACT_OWNER;
  archive_write_disk_set_options(disk.get(), flags);
  return disk;
}

absl::StatusOr<int64_t> ExtractHere(archive* source, const Renaming& renaming, OwnerMode owners) {
  BERTH_ASSIGN_OR_RETURN(const Writer disk, OpenDiskWriter(owners));
  int64_t bytes = 0;
  while (true) {
    archive_entry* entry = nullptr;
    const int status = archive_read_next_header(source, &entry);
    if (status == ARCHIVE_EOF) return bytes;
    if (status < ARCHIVE_WARN) return Failure(source, "read the archive");
    const std::string path = Renamed(archive_entry_pathname(entry), renaming);
    if (path.empty() || path == ".") continue;  // the target itself, which is there
    archive_entry_copy_pathname(entry, path.c_str());
    if (const char* link = archive_entry_hardlink(entry); link != nullptr) {
      archive_entry_copy_hardlink(entry, Renamed(link, renaming).c_str());
    }
    if (archive_write_header(disk.get(), entry) < ARCHIVE_WARN) {
      return Failure(disk.get(), absl::StrCat("write ", path));
    }
    const void* block = nullptr;
    size_t size = 0;
    la_int64_t offset = 0;
    int read = ARCHIVE_OK;
    while ((read = archive_read_data_block(source, &block, &size, &offset)) == ARCHIVE_OK) {
      if (archive_write_data_block(disk.get(), block, size, offset) < ARCHIVE_WARN) {
        return Failure(disk.get(), absl::StrCat("write ", path));
      }
      bytes += static_cast<int64_t>(size);
    }
    if (read != ARCHIVE_EOF) return Failure(source, "read the archive");
    if (archive_write_finish_entry(disk.get()) < ARCHIVE_WARN) {
      return Failure(disk.get(), absl::StrCat("write ", path));
    }
  }
}

}  // namespace

absl::Status WriteArchive(const std::string& path, const std::string& name, LinkMode links,
                          BorrowedFd out) {
  BERTH_RETURN_IF_ERROR(LoadLibarchive());
  const Reader disk(archive_read_disk_new());
  if (links == LinkMode::kFollow) {
    archive_read_disk_set_symlink_hybrid(disk.get());  // the named one alone
  } else {
    archive_read_disk_set_symlink_physical(disk.get());
  }
  archive_read_disk_set_standard_lookup(disk.get());
  if (archive_read_disk_open(disk.get(), path.c_str()) != ARCHIVE_OK) {
    return Failure(disk.get(), absl::StrCat("open ", path));
  }
  const Writer tar(archive_write_new());
  archive_write_set_format_pax_restricted(tar.get());
  archive_write_set_bytes_in_last_block(tar.get(), 1);
  if (archive_write_open_fd(tar.get(), out.get()) != ARCHIVE_OK) {
    return Failure(tar.get(), "open the archive");
  }
  const Entry entry(archive_entry_new());
  while (true) {
    archive_entry_clear(entry.get());
    const int status = archive_read_next_header2(disk.get(), entry.get());
    if (status == ARCHIVE_EOF) break;
    if (status < ARCHIVE_WARN) return Failure(disk.get(), absl::StrCat("read ", path));
    archive_read_disk_descend(disk.get());
    const std::string own = archive_entry_pathname(entry.get());
    if (archive_entry_filetype(entry.get()) == AE_IFSOCK) continue;  // tar has no sockets
    archive_entry_copy_pathname(entry.get(), NameBelow(own, path, name).c_str());
    if (archive_write_header(tar.get(), entry.get()) < ARCHIVE_WARN) {
      return Failure(tar.get(), "write the archive");
    }
    if (archive_entry_filetype(entry.get()) == AE_IFREG && archive_entry_size(entry.get()) > 0) {
      BERTH_RETURN_IF_ERROR(CopyData(disk.get(), tar.get(), own));
    }
  }
  if (archive_write_close(tar.get()) != ARCHIVE_OK) return Failure(tar.get(), "end the archive");
  return absl::OkStatus();
}

absl::StatusOr<int64_t> ExtractArchive(BorrowedFd in, const std::string& directory,
                                       const Renaming& renaming, OwnerMode owners) {
  BERTH_RETURN_IF_ERROR(LoadLibarchive());
  // libarchive refuses absolute names, ours as well: names are taken from the directory.
  BERTH_ASSIGN_OR_RETURN(const UniqueFd before, OpenFile(".", O_RDONLY | O_DIRECTORY));
  BERTH_ASSIGN_OR_RETURN(const UniqueFd target, OpenFile(directory, O_RDONLY | O_DIRECTORY));
  const Reader source(archive_read_new());
  archive_read_support_format_tar(source.get());
  archive_read_support_format_empty(source.get());
  if (archive_read_open_fd(source.get(), in.get(), kBlockBytes) != ARCHIVE_OK) {
    return Failure(source.get(), "read the archive");
  }
  if (::fchdir(target.get()) != 0) return absl::InternalError(absl::StrCat("enter ", directory));
  absl::StatusOr<int64_t> extracted = ExtractHere(source.get(), renaming, owners);
  [[maybe_unused]] const int back = ::fchdir(before.get());
  // Whoever writes must not wait for a reader that gave up.
  std::string rest(kBlockBytes, '\0');
  while (::read(in.get(), rest.data(), rest.size()) > 0) continue;
  return extracted;
}

}  // namespace berth::client
