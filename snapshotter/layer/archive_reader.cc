#include "snapshotter/layer/archive_reader.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"

namespace berth::layer {

struct ArchiveReader::Impl {
  explicit Impl(BlockQueue& queue) : input(queue), archive(archive_read_new()) {}
  ~Impl() { archive_read_free(archive); }

  // libarchive's message, unless the input itself failed: then that is the reason.
  absl::Status Failure(absl::string_view step) const {
    if (!input_status.ok()) return input_status;
    const char* message = archive_error_string(archive);
    return absl::InvalidArgumentError(
        absl::StrCat(step, ": ", message != nullptr ? message : "not a tar archive"));
  }

  BlockQueue& input;
  absl::Status input_status;
  struct archive* archive;
  struct archive_entry* current = nullptr;  // libarchive's, until the next header
};

namespace {

absl::StatusOr<EntryType> TypeOf(struct archive_entry* entry, const std::string& path) {
  if (archive_entry_hardlink(entry) != nullptr) return EntryType::kHardlink;
  switch (archive_entry_filetype(entry)) {
    case AE_IFREG:
      return EntryType::kFile;
    case AE_IFDIR:
      return EntryType::kDirectory;
    case AE_IFLNK:
      return EntryType::kSymlink;
    case AE_IFCHR:
      return EntryType::kCharDevice;
    case AE_IFBLK:
      return EntryType::kBlockDevice;
    case AE_IFIFO:
      return EntryType::kFifo;
    default:
      return absl::InvalidArgumentError(
          absl::StrCat("layer entry \"", path, "\" has an unknown file type"));
  }
}

void CopyXattrs(struct archive_entry* from, Entry& to) {
  const char* name = nullptr;
  const void* value = nullptr;
  size_t size = 0;
  archive_entry_xattr_reset(from);
  while (archive_entry_xattr_next(from, &name, &value, &size) == ARCHIVE_OK) {
    to.xattrs.emplace_back(name, std::string(static_cast<const char*>(value), size));
  }
}

absl::Status PwriteAll(BorrowedFd file, absl::string_view data, off_t offset) {
  while (!data.empty()) {
    const ssize_t written = ::pwrite(file.get(), data.data(), data.size(), offset);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return ErrnoStatus(errno, "write");
    data.remove_prefix(static_cast<size_t>(written));
    offset += written;
  }
  return absl::OkStatus();
}

}  // namespace

ArchiveReader::ArchiveReader(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ArchiveReader::~ArchiveReader() = default;

absl::StatusOr<std::unique_ptr<ArchiveReader>> ArchiveReader::Open(BlockQueue& input) {
  auto impl = std::make_unique<Impl>(input);
  archive_read_support_filter_none(impl->archive);
  archive_read_support_format_tar(impl->archive);
  archive_read_support_format_empty(impl->archive);
  const auto read = [](struct archive* archive, void* self, const void** data) -> la_ssize_t {
    auto* const impl = static_cast<Impl*>(self);
    const absl::StatusOr<absl::string_view> block = impl->input.Next();
    if (!block.ok()) {
      impl->input_status = block.status();
      archive_set_error(archive, EIO, "the input failed");
      return -1;
    }
    *data = block->data();
    return static_cast<la_ssize_t>(block->size());
  };
  if (archive_read_open(impl->archive, impl.get(), nullptr, read, nullptr) != ARCHIVE_OK) {
    return impl->Failure("open the layer archive");
  }
  return std::unique_ptr<ArchiveReader>(new ArchiveReader(std::move(impl)));
}

absl::StatusOr<bool> ArchiveReader::Next(Entry& entry) {
  const int result = archive_read_next_header(impl_->archive, &impl_->current);
  if (result == ARCHIVE_EOF) return false;
  // ARCHIVE_WARN is what every non-ASCII pax name gets in the C locale.
  if (result != ARCHIVE_OK && result != ARCHIVE_WARN) {
    return impl_->Failure("read the layer archive");
  }
  struct archive_entry* const from = impl_->current;
  const char* const path = archive_entry_pathname(from);
  if (path == nullptr) {
    return absl::InvalidArgumentError("read the layer archive: an entry has no readable name");
  }
  entry = Entry();
  entry.path = path;
  BERTH_ASSIGN_OR_RETURN(entry.type, TypeOf(from, entry.path));
  entry.permissions = archive_entry_perm(from);
  const la_int64_t uid = archive_entry_uid(from);
  const la_int64_t gid = archive_entry_gid(from);
  if (uid < 0 || gid < 0 || uid >= UINT32_MAX || gid >= UINT32_MAX) {
    return absl::InvalidArgumentError(absl::StrCat("layer entry \"", entry.path,
                                                   "\" has the owner ", uid, ":", gid,
                                                   ", which is no Linux id"));
  }
  entry.uid = static_cast<uid_t>(uid);
  entry.gid = static_cast<gid_t>(gid);
  entry.device = makedev(archive_entry_rdevmajor(from), archive_entry_rdevminor(from));
  entry.size_bytes = static_cast<uint64_t>(archive_entry_size(from));
  entry.modified.tv_sec = archive_entry_mtime(from);
  entry.modified.tv_nsec = archive_entry_mtime_nsec(from);
  const char* target = entry.type == EntryType::kHardlink  ? archive_entry_hardlink(from)
                       : entry.type == EntryType::kSymlink ? archive_entry_symlink(from)
                                                           : "";
  if (target == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat("layer entry \"", entry.path, "\" has no readable link target"));
  }
  entry.link_target = target;
  CopyXattrs(from, entry);
  return true;
}

absl::Status ArchiveReader::WriteData(BorrowedFd file, int64_t begin) {
  la_int64_t end = 0;
  for (;;) {
    const void* data = nullptr;
    size_t size = 0;
    la_int64_t offset = 0;
    const int result = archive_read_data_block(impl_->archive, &data, &size, &offset);
    if (result == ARCHIVE_EOF) break;
    if (result != ARCHIVE_OK && result != ARCHIVE_WARN) {
      return impl_->Failure("read the data");
    }
    BERTH_RETURN_IF_ERROR(
        PwriteAll(file, absl::string_view(static_cast<const char*>(data), size), begin + offset));
    end = offset + static_cast<la_int64_t>(size);
  }
  // A sparse member may end in a hole.
  const la_int64_t whole = archive_entry_size(impl_->current);
  if (end < whole && ::ftruncate(file.get(), begin + whole) != 0)
    return ErrnoStatus(errno, "ftruncate");
  return absl::OkStatus();
}

}  // namespace berth::layer
