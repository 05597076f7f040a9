// The part of the EROFS on-disk format that we write: uncompressed images of extended inodes.
//
// Facts of the kernel's fs/erofs/erofs_fs.h and Documentation/filesystems/erofs.rst; see
// docs/formats/erofs.md for how we use them. All numbers are little-endian. Constants and plain
// values.
#ifndef BERTH_SNAPSHOTTER_EROFS_DISK_FORMAT_H_
#define BERTH_SNAPSHOTTER_EROFS_DISK_FORMAT_H_

#include <cstddef>
#include <cstdint>
#include <string>

namespace berth::erofs {

inline constexpr uint32_t kMagic = 0xE0F5E1E2;
inline constexpr size_t kSuperOffset = 1024;
inline constexpr size_t kSuperBytes = 128;
inline constexpr uint32_t kCompatChecksum = 1;

inline constexpr unsigned kBlockBits = 12;
inline constexpr size_t kBlockBytes = size_t{1} << kBlockBits;
inline constexpr size_t kSlotBytes = 32;  // a nid counts these from the start of the metadata area
inline constexpr size_t kInodeBytes = 64;
inline constexpr size_t kDirentBytes = 12;
inline constexpr size_t kXattrHeaderBytes = 12;
inline constexpr size_t kXattrEntryBytes = 4;

// i_format: bit 0 says "extended", bits 1 to 3 the layout of the data.
inline constexpr uint16_t kFormatExtended = 1;
inline constexpr uint16_t kLayoutPlain = 0;   // all data in blocks of its own
inline constexpr uint16_t kLayoutInline = 2;  // the last, partial block follows the inode

// e_name_index.
inline constexpr uint8_t kXattrUser = 1;
inline constexpr uint8_t kXattrAclAccess = 2;
inline constexpr uint8_t kXattrAclDefault = 3;
inline constexpr uint8_t kXattrTrusted = 4;
inline constexpr uint8_t kXattrSecurity = 6;

// Little-endian; behind the value's eight bytes come zeros.
inline void Put(std::string& out, uint64_t value, size_t bytes) {
  for (size_t i = 0; i < bytes; ++i) {
    out.push_back(static_cast<char>(i < sizeof(value) ? value >> (8 * i) & 0xff : 0));
  }
}

}  // namespace berth::erofs

#endif  // BERTH_SNAPSHOTTER_EROFS_DISK_FORMAT_H_
