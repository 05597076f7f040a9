#include "snapshotter/erofs/image_layout.h"

#include <sys/sysmacros.h>

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status/status_macros.h"
#include "snapshotter/erofs/disk_format.h"

namespace berth::erofs {
namespace {

constexpr size_t kMaxXattrBytes = 65535 * 4;  // the count of an inode has 16 bits

uint64_t RoundUp(uint64_t value, uint64_t unit) { return (value + unit - 1) / unit * unit; }

struct XattrName {
  uint8_t index;
  absl::string_view rest;
};

absl::StatusOr<XattrName> SplitXattr(absl::string_view name) {
  const std::pair<absl::string_view, uint8_t> prefixes[] = {
      {"user.", kXattrUser}, {"trusted.", kXattrTrusted}, {"security.", kXattrSecurity}};
  for (const auto& [prefix, index] : prefixes) {
    if (absl::StartsWith(name, prefix)) return XattrName{index, name.substr(prefix.size())};
  }
  if (name == "system.posix_acl_access") return XattrName{kXattrAclAccess, ""};
  if (name == "system.posix_acl_default") return XattrName{kXattrAclDefault, ""};
  return absl::InvalidArgumentError(
      absl::StrCat("an EROFS image cannot hold the attribute \"", name, "\""));
}

size_t XattrEntryBytes(const XattrName& name, const std::string& value) {
  return RoundUp(kXattrEntryBytes + name.rest.size() + value.size(), 4);
}

absl::StatusOr<size_t> XattrBytes(const Xattrs& xattrs) {
  if (xattrs.empty()) return 0;
  size_t bytes = kXattrHeaderBytes;
  for (const auto& [name, value] : xattrs) {
    BERTH_ASSIGN_OR_RETURN(const XattrName split, SplitXattr(name));
    if (split.rest.size() > UINT8_MAX || value.size() > UINT16_MAX) {
      return absl::InvalidArgumentError(absl::StrCat("an EROFS image cannot hold the attribute \"",
                                                     name, "\" of ", value.size(), " bytes"));
    }
    bytes += XattrEntryBytes(split, value);
  }
  if (bytes - kXattrHeaderBytes > kMaxXattrBytes) {
    return absl::InvalidArgumentError("a file has more attributes than an EROFS image can hold");
  }
  return bytes;
}

void PutXattrs(std::string& out, const Xattrs& xattrs) {
  if (xattrs.empty()) return;
  Put(out, 0, kXattrHeaderBytes);  // no filter, none shared
  for (const auto& [name, value] : xattrs) {
    const XattrName split = *SplitXattr(name);
    const size_t end = out.size() + XattrEntryBytes(split, value);
    Put(out, split.rest.size(), 1);
    Put(out, split.index, 1);
    Put(out, value.size(), 2);
    out.append(split.rest.data(), split.rest.size());
    out.append(value);
    out.resize(end);
  }
}

// Names in the order of their bytes, "." and ".." among them.
std::vector<std::pair<absl::string_view, Number>> NamesOf(const Inode& directory, Number self,
                                                          Number parent) {
  std::vector<std::pair<absl::string_view, Number>> names;
  names.reserve(directory.names.size() + 2);
  names.emplace_back(".", self);
  names.emplace_back("..", parent);
  for (const auto& [name, number] : directory.names) names.emplace_back(name, number);
  std::sort(names.begin(), names.end());
  return names;
}

// How many names of a directory fit into the block that begins with names[begin], and its size.
std::pair<size_t, size_t> FillBlock(const std::vector<std::pair<absl::string_view, Number>>& names,
                                    size_t begin) {
  size_t count = 0;
  size_t bytes = 0;
  while (begin + count < names.size()) {
    const size_t more = kDirentBytes + names[begin + count].first.size();
    if (bytes + more > kBlockBytes) break;
    bytes += more;
    ++count;
  }
  return {count, bytes};
}

uint8_t FileType(mode_t mode) {
  switch (mode & S_IFMT) {
    case S_IFREG:
      return 1;
    case S_IFDIR:
      return 2;
    case S_IFCHR:
      return 3;
    case S_IFBLK:
      return 4;
    case S_IFIFO:
      return 5;
    case S_IFLNK:
      return 7;
    default:
      return 6;
  }
}

uint32_t DeviceNumber(dev_t device) {
  const uint32_t low = minor(device);
  return (low & 0xff) | major(device) << 8 | (low & ~0xffu) << 12;
}

bool IsDevice(mode_t mode) { return S_ISCHR(mode) || S_ISBLK(mode); }

}  // namespace

absl::StatusOr<ImageLayout> ImageLayout::Make(const ImageTree& tree, uint64_t first_block) {
  ImageLayout layout;
  layout.metadata_block_ = first_block;
  layout.places_.resize(tree.size());
  layout.order_.push_back(ImageTree::kRoot);
  uint64_t position = kSlotBytes;  // no inode has the number 0
  for (size_t i = 0; i < layout.order_.size(); ++i) {
    const Number number = layout.order_[i];
    BERTH_RETURN_IF_ERROR(layout.PlaceInode(tree, number, position));
    for (const auto& [name, child] : tree.inode(number).names) {
      // A file with several names comes once: its first name places it.
      if (layout.places_[child].nid != 0) continue;
      layout.places_[child].nid = 1;
      layout.places_[child].parent = number;
      layout.order_.push_back(child);
    }
  }
  layout.end_block_ = first_block + RoundUp(position, kBlockBytes) / kBlockBytes;
  for (const Number number : layout.order_) {
    Place& place = layout.places_[number];
    const uint64_t blocks = RoundUp(place.size_bytes - place.tail_bytes, kBlockBytes) / kBlockBytes;
    if (blocks > 0) place.first_block = static_cast<uint32_t>(layout.end_block_);
    layout.end_block_ += blocks;
  }
  if (layout.end_block_ > UINT32_MAX) {
    return absl::ResourceExhaustedError("the layer is larger than an EROFS image can be (16 TiB)");
  }
  return layout;
}

absl::Status ImageLayout::PlaceInode(const ImageTree& tree, Number number, uint64_t& position) {
  const Inode& inode = tree.inode(number);
  Place& place = places_[number];
  if (S_ISDIR(inode.attributes.mode)) {
    const auto names = NamesOf(inode, number, place.parent);
    for (size_t begin = 0; begin < names.size();) {
      const auto [count, bytes] = FillBlock(names, begin);
      begin += count;
      place.size_bytes += begin < names.size() ? kBlockBytes : bytes;
    }
  } else if (S_ISLNK(inode.attributes.mode)) {
    place.size_bytes = inode.link_target.size();
  }
  BERTH_ASSIGN_OR_RETURN(const size_t xattr_bytes, XattrBytes(inode.attributes.xattrs));
  place.xattr_bytes = static_cast<uint32_t>(xattr_bytes);
  const uint64_t tail = place.size_bytes % kBlockBytes;
  const uint64_t whole = kInodeBytes + xattr_bytes + tail;
  if (position % kBlockBytes + kInodeBytes > kBlockBytes) position = RoundUp(position, kBlockBytes);
  if (whole <= kBlockBytes) {
    place.tail_bytes = static_cast<uint32_t>(tail);
    if (position % kBlockBytes + whole > kBlockBytes) position = RoundUp(position, kBlockBytes);
  }
  place.nid = position / kSlotBytes;
  position = RoundUp(position + kInodeBytes + xattr_bytes + place.tail_bytes, kSlotBytes);
  return absl::OkStatus();
}

std::string ImageLayout::DirectoryBytes(const ImageTree& tree, Number number) const {
  const auto names = NamesOf(tree.inode(number), number, places_[number].parent);
  std::string blocks;
  for (size_t begin = 0; begin < names.size();) {
    const auto [count, bytes] = FillBlock(names, begin);
    const size_t start = blocks.size();
    size_t offset = count * kDirentBytes;
    for (size_t i = begin; i < begin + count; ++i) {
      Put(blocks, places_[names[i].second].nid, 8);
      Put(blocks, offset, 2);
      Put(blocks, FileType(tree.inode(names[i].second).attributes.mode), 1);
      Put(blocks, 0, 1);
      offset += names[i].first.size();
    }
    for (size_t i = begin; i < begin + count; ++i) {
      blocks.append(names[i].first.data(), names[i].first.size());
    }
    begin += count;
    if (begin < names.size()) blocks.resize(start + kBlockBytes);
  }
  return blocks;
}

std::string ImageLayout::InodeBytes(const ImageTree& tree, Number number) const {
  const Inode& inode = tree.inode(number);
  const Attributes& attributes = inode.attributes;
  const Place& place = places_[number];
  const bool is_file = S_ISREG(attributes.mode);
  std::string bytes;
  Put(bytes,
      kFormatExtended |
          static_cast<uint16_t>((place.tail_bytes > 0 ? kLayoutInline : kLayoutPlain) << 1),
      2);
  Put(bytes, place.xattr_bytes == 0 ? 0 : 1 + (place.xattr_bytes - kXattrHeaderBytes) / 4, 2);
  Put(bytes, attributes.mode, 2);
  Put(bytes, 0, 2);
  Put(bytes, is_file ? inode.size_bytes : place.size_bytes, 8);
  Put(bytes,
      IsDevice(attributes.mode) ? DeviceNumber(attributes.device)
      : is_file                 ? inode.first_block
                                : place.first_block,
      4);
  Put(bytes, place.nid, 4);  // i_ino
  Put(bytes, attributes.uid, 4);
  Put(bytes, attributes.gid, 4);
  Put(bytes, static_cast<uint64_t>(attributes.modified.tv_sec), 8);
  Put(bytes, static_cast<uint64_t>(attributes.modified.tv_nsec), 4);
  Put(bytes, inode.links, 4);
  bytes.resize(kInodeBytes);
  PutXattrs(bytes, attributes.xattrs);
  return bytes;
}

absl::Status ImageLayout::Write(const ImageTree& tree, Sink sink) const {
  uint64_t written = 0;
  const auto fill = [&](uint64_t position) {
    const std::string zeros(position - written, '\0');
    written = position;
    return sink(zeros);
  };
  const auto bytes_of = [&](Number number) {
    const Inode& inode = tree.inode(number);
    return S_ISDIR(inode.attributes.mode) ? DirectoryBytes(tree, number) : inode.link_target;
  };
  for (const Number number : order_) {
    const Place& place = places_[number];
    BERTH_RETURN_IF_ERROR(fill(place.nid * kSlotBytes));
    std::string bytes = InodeBytes(tree, number);
    if (place.tail_bytes > 0) {
      const std::string data = bytes_of(number);
      bytes.append(data, data.size() - place.tail_bytes);
    }
    BERTH_RETURN_IF_ERROR(sink(bytes));
    written += bytes.size();
  }
  BERTH_RETURN_IF_ERROR(fill(RoundUp(written, kBlockBytes)));
  for (const Number number : order_) {
    const Place& place = places_[number];
    if (place.size_bytes == place.tail_bytes) continue;
    const std::string data = bytes_of(number);
    BERTH_RETURN_IF_ERROR(sink(data.substr(0, data.size() - place.tail_bytes)));
    written += data.size() - place.tail_bytes;
    BERTH_RETURN_IF_ERROR(fill(RoundUp(written, kBlockBytes)));
  }
  return absl::OkStatus();
}

}  // namespace berth::erofs
