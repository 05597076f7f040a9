#include "snapshotter/erofs/image_writer.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"
#include "snapshotter/erofs/disk_format.h"
#include "snapshotter/erofs/image_layout.h"

namespace berth::erofs {
namespace {

constexpr uint64_t kMaxBlocks = UINT32_MAX;
constexpr int64_t kUnitBytes = 512;  // of st_blocks
constexpr size_t kWriteBytes = 256 * 1024;

absl::Status WriteAt(BorrowedFd file, absl::string_view data, uint64_t offset) {
  while (!data.empty()) {
    const ssize_t written =
        ::pwrite(file.get(), data.data(), data.size(), static_cast<off_t>(offset));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return ErrnoStatus(errno, "write");
    data.remove_prefix(static_cast<size_t>(written));
    offset += static_cast<uint64_t>(written);
  }
  return absl::OkStatus();
}

// The kernel's crc32c: reflected polynomial, all ones at the start, not inverted at the end.
uint32_t Crc32c(absl::string_view data) {
  uint32_t crc = UINT32_MAX;
  for (const char byte : data) {
    crc ^= static_cast<unsigned char>(byte);
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ ((crc & 1) != 0 ? 0x82F63B78u : 0u);
  }
  return crc;
}

std::string SuperBlock(const ImageLayout& layout, uint64_t blocks) {
  std::string super;
  Put(super, kMagic, 4);
  Put(super, 0, 4);  // checksum
  Put(super, kCompatChecksum, 4);
  Put(super, kBlockBits, 1);
  Put(super, 0, 1);  // extension slots
  Put(super, layout.root_nid(), 2);
  Put(super, layout.inodes(), 8);
  Put(super, 0, 12);  // time of the build: the same layer gives the same image
  Put(super, blocks, 4);
  Put(super, layout.metadata_block(), 4);
  super.resize(kSuperBytes);  // no shared attributes, no names, no incompatible features
  return super;
}

// Gathers small pieces into large writes.
class Output {
 public:
  Output(BorrowedFd file, uint64_t offset) : file_(file), offset_(offset) {}
  absl::Status Add(absl::string_view data) {
    buffer_.append(data.data(), data.size());
    return buffer_.size() >= kWriteBytes ? Flush() : absl::OkStatus();
  }
  absl::Status Flush() {
    BERTH_RETURN_IF_ERROR(WriteAt(file_, buffer_, offset_));
    offset_ += buffer_.size();
    buffer_.clear();
    return absl::OkStatus();
  }

 private:
  const BorrowedFd file_;
  uint64_t offset_;
  std::string buffer_;
};

}  // namespace

absl::Status ImageWriter::WriteData(Number file, uint64_t size_bytes, DataWriter write) {
  const uint64_t blocks = size_bytes / kBlockBytes + (size_bytes % kBlockBytes != 0 ? 1 : 0);
  if (blocks > kMaxBlocks - next_block_) {
    return absl::ResourceExhaustedError("the layer is larger than an EROFS image can be (16 TiB)");
  }
  Inode& inode = tree_.inode(file);
  inode.size_bytes = size_bytes;
  inode.first_block = static_cast<uint32_t>(next_block_);
  const uint64_t begin = next_block_ * kBlockBytes;
  next_block_ += blocks;
  return write(image_, static_cast<int64_t>(begin));
}

absl::Status ImageWriter::Finish() {
  BERTH_ASSIGN_OR_RETURN(const ImageLayout layout, ImageLayout::Make(tree_, next_block_));
  Output output(image_, layout.metadata_block() * kBlockBytes);
  BERTH_RETURN_IF_ERROR(
      layout.Write(tree_, [&](absl::string_view data) { return output.Add(data); }));
  BERTH_RETURN_IF_ERROR(output.Flush());
  if (::ftruncate(image_.get(), static_cast<off_t>(layout.end_block() * kBlockBytes)) != 0) {
    return ErrnoStatus(errno, "ftruncate");
  }
  std::string super = SuperBlock(layout, layout.end_block());
  // The sum covers the rest of the block, with zero in its own place.
  std::string covered = super;
  covered.resize(kBlockBytes - kSuperOffset);
  std::string sum;
  Put(sum, Crc32c(covered), 4);
  super.replace(4, 4, sum);
  return WriteAt(image_, super, kSuperOffset);
}

absl::StatusOr<ImageInfo> ReadImageInfo(BorrowedFd image) {
  std::string block(kBlockBytes - kSuperOffset, '\0');
  const ssize_t got = ::pread(image.get(), block.data(), block.size(), kSuperOffset);
  if (got < 0) return ErrnoStatus(errno, "pread", "EROFS superblock");
  const auto number = [&](size_t at, size_t bytes) {
    uint64_t value = 0;
    for (size_t i = bytes; i > 0; --i) {
      value = value << 8 | static_cast<unsigned char>(block[at + i - 1]);
    }
    return value;
  };
  const uint64_t sum = number(4, 4);
  if (static_cast<size_t>(got) != block.size() || number(0, 4) != kMagic) {
    return absl::DataLossError("the file is no complete EROFS image");
  }
  block.replace(4, 4, 4, '\0');
  if (sum != Crc32c(block)) return absl::DataLossError("the EROFS superblock is damaged");
  struct stat file;
  if (::fstat(image.get(), &file) != 0) return ErrnoStatus(errno, "fstat", "EROFS image");
  return ImageInfo{
      .inodes = number(16, 8), .blocks = number(36, 4), .disk_bytes = file.st_blocks * kUnitBytes};
}

}  // namespace berth::erofs
