#include "snapshotter/layer/archive_members.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/os/file_io.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"
#include "snapshotter/layer/decompress.h"
#include "snapshotter/layer/hashing_stream.h"

namespace berth::layer {
namespace {

constexpr size_t kReadBytes = 256 << 10;
constexpr size_t kMaxPathBytes = 4096;
constexpr size_t kBlockBytes = 512;
constexpr size_t kMagicOffset = 257;

struct FreeArchive {
  void operator()(archive* reader) const { ::archive_read_free(reader); }
};
using Reader = std::unique_ptr<archive, FreeArchive>;

absl::string_view MessageOf(archive* reader) {
  const char* message = ::archive_error_string(reader);
  return message != nullptr ? message : "no reason given";
}

absl::string_view OrEmpty(const char* text) { return text != nullptr ? text : ""; }

absl::Status Stopped() { return absl::CancelledError("reading the archive was cancelled"); }

absl::Status Broken(archive* reader, absl::string_view step) {
  return absl::DataLossError(absl::StrCat("the archive is cut off or damaged: ", step, " failed (",
                                          MessageOf(reader), "); make or fetch it again"));
}

// Old tar has no magic: its header's checksum tells.
bool IsTarHeader(const char (&block)[kBlockBytes]) {
  if (std::memcmp(block + kMagicOffset, "ustar", 5) == 0) return true;
  uint64_t sum = 0;
  bool is_zero = true;
  for (size_t i = 0; i < kBlockBytes; ++i) {
    const bool is_checksum = i >= 148 && i < 156;
    sum += is_checksum ? ' ' : static_cast<unsigned char>(block[i]);
    is_zero = is_zero && block[i] == '\0';
  }
  if (is_zero) return true;  // the end of an archive without members
  const uint64_t stated = std::strtoull(std::string(block + 148, 8).c_str(), nullptr, 8);
  return stated == sum;
}

// What our own decompressors do not know: bzip2, xz, lz4 ...
absl::Status DecompressOther(BorrowedFd compressed, BorrowedFd plain,
                             const std::atomic<bool>& cancelled) {
  const Reader reader(::archive_read_new());
  ::archive_read_support_filter_all(reader.get());
  ::archive_read_support_format_raw(reader.get());
  archive_entry* entry = nullptr;
  if (::lseek(compressed.get(), 0, SEEK_SET) != 0) return ErrnoStatus(errno, "lseek");
  if (::archive_read_open_fd(reader.get(), compressed.get(), kReadBytes) != ARCHIVE_OK ||
      ::archive_read_next_header(reader.get(), &entry) != ARCHIVE_OK) {
    return absl::InvalidArgumentError(
        absl::StrCat("this is no tar archive, compressed or not (", MessageOf(reader.get()), ")"));
  }
  const std::unique_ptr<char[]> buffer(new char[kReadBytes]);
  for (;;) {
    if (cancelled.load(std::memory_order_relaxed)) return Stopped();
    const la_ssize_t got = ::archive_read_data(reader.get(), buffer.get(), kReadBytes);
    if (got < 0) return Broken(reader.get(), "decompressing");
    if (got == 0) return absl::OkStatus();
    BERTH_RETURN_IF_ERROR(
        WriteAll(plain, absl::string_view(buffer.get(), static_cast<size_t>(got))));
  }
}

}  // namespace

absl::StatusOr<Packing> FindPacking(BorrowedFd archive) {
  char block[kBlockBytes] = {};
  const ssize_t got = ::pread(archive.get(), block, sizeof(block), 0);
  if (got < 0) return ErrnoStatus(errno, "pread");
  if (got == 0) return absl::InvalidArgumentError("the archive is empty");
  if (got == static_cast<ssize_t>(kBlockBytes) && IsTarHeader(block)) return Packing::kPlain;
  return Packing::kCompressed;
}

absl::Status DecompressArchive(BorrowedFd archive, BorrowedFd plain,
                               const std::atomic<bool>& cancelled) {
  unsigned char magic[4] = {};
  if (::pread(archive.get(), magic, sizeof(magic), 0) < 0) return ErrnoStatus(errno, "pread");
  const bool is_gzip = magic[0] == 0x1f && magic[1] == 0x8b;
  const bool is_zstd = magic[0] == 0x28 && magic[1] == 0xb5 && magic[2] == 0x2f && magic[3] == 0xfd;
  if (!is_gzip && !is_zstd) return DecompressOther(archive, plain, cancelled);
  FileSource file(archive);
  BERTH_ASSIGN_OR_RETURN(const std::unique_ptr<ByteSource> source, OpenDecompressed(file));
  const std::unique_ptr<char[]> buffer(new char[kReadBytes]);
  for (;;) {
    if (cancelled.load(std::memory_order_relaxed)) return Stopped();
    const absl::StatusOr<size_t> got = source->Read(buffer.get(), kReadBytes);
    if (absl::IsInvalidArgument(got.status())) {
      return absl::DataLossError(absl::StrCat("the archive is cut off or damaged: ",
                                              got.status().message(), "; make or fetch it again"));
    }
    BERTH_RETURN_IF_ERROR(got.status()) << "decompress the archive";
    if (*got == 0) return absl::OkStatus();
    BERTH_RETURN_IF_ERROR(WriteAll(plain, absl::string_view(buffer.get(), *got)));
  }
}

absl::StatusOr<std::vector<Member>> ListMembers(BorrowedFd archive,
                                                const std::atomic<bool>& cancelled) {
  struct stat info;
  if (::fstat(archive.get(), &info) != 0) return ErrnoStatus(errno, "fstat");
  if (::lseek(archive.get(), 0, SEEK_SET) != 0) return ErrnoStatus(errno, "lseek");
  const Reader reader(::archive_read_new());
  ::archive_read_support_format_tar(reader.get());
  if (::archive_read_open_fd(reader.get(), archive.get(), kReadBytes) != ARCHIVE_OK) {
    return absl::InvalidArgumentError(
        absl::StrCat("this is no tar archive (", MessageOf(reader.get()), ")"));
  }
  std::vector<Member> members;
  archive_entry* header = nullptr;
  for (;;) {
    if (cancelled.load(std::memory_order_relaxed)) return Stopped();
    const int result = ::archive_read_next_header(reader.get(), &header);
    if (result == ARCHIVE_EOF) return members;
    if (result != ARCHIVE_OK && result != ARCHIVE_WARN) {
      if (members.empty()) {
        return absl::InvalidArgumentError(
            absl::StrCat("this is no tar archive (", MessageOf(reader.get()), ")"));
      }
      return Broken(reader.get(),
                    absl::StrCat("reading what follows \"", members.back().path, "\""));
    }
    Member member;
    member.path = std::string(absl::StripPrefix(OrEmpty(::archive_entry_pathname(header)), "./"));
    if (const char* target = ::archive_entry_hardlink(header)) {
      member.link_target = target;
    } else if (::archive_entry_filetype(header) == AE_IFLNK) {
      member.link_target = std::string(OrEmpty(::archive_entry_symlink(header)));
    } else if (::archive_entry_filetype(header) != AE_IFREG ||
               ::archive_entry_sparse_count(header) > 0) {
      continue;
    }
    if (member.path.size() > kMaxPathBytes || member.link_target.size() > kMaxPathBytes) {
      return absl::InvalidArgumentError("the archive holds a path of more than 4096 bytes");
    }
    if (members.size() >= kMaxMembers) {
      return absl::ResourceExhaustedError(absl::StrCat("the archive holds more than ", kMaxMembers,
                                                       " files, which no archive of images does"));
    }
    if (member.link_target.empty()) {
      // Behind its headers the reader stands at the data.
      member.offset = ::archive_filter_bytes(reader.get(), 0);
      member.size_bytes = ::archive_entry_size(header);
      if (member.offset < 0 || member.size_bytes < 0 || member.offset > info.st_size ||
          member.size_bytes > info.st_size - member.offset) {
        return absl::DataLossError(absl::StrCat("the archive is cut off in the middle of \"",
                                                member.path, "\"; make or fetch it again"));
      }
    }
    members.push_back(std::move(member));
  }
}

}  // namespace berth::layer
