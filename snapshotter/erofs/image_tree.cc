#include "snapshotter/erofs/image_tree.h"

namespace berth::erofs {

ImageTree::ImageTree(const Attributes& root) {
  inodes_.emplace_back();
  inodes_[kRoot].attributes = root;
  inodes_[kRoot].links = 2;
}

Number ImageTree::Find(Number directory, absl::string_view name) const {
  const auto& names = inodes_[directory].names;
  const auto found = names.find(name);
  return found == names.end() ? kNone : found->second;
}

Number ImageTree::Make(Number directory, absl::string_view name, Attributes attributes) {
  const Number made = static_cast<Number>(inodes_.size());
  const bool is_directory = S_ISDIR(attributes.mode);
  inodes_.emplace_back();
  inodes_[made].attributes = std::move(attributes);
  inodes_[made].links = is_directory ? 2 : 1;
  if (is_directory) ++inodes_[directory].links;
  inodes_[directory].names.emplace(name, made);
  return made;
}

void ImageTree::Link(Number directory, absl::string_view name, Number target) {
  ++inodes_[target].links;
  inodes_[directory].names.emplace(name, target);
}

void ImageTree::Remove(Number directory, absl::string_view name) {
  const auto found = inodes_[directory].names.find(name);
  if (found == inodes_[directory].names.end()) return;
  // Without recursion: an archive may nest directories as deep as it likes.
  std::vector<Number> gone = {found->second};
  if (IsDirectory(found->second)) --inodes_[directory].links;
  inodes_[directory].names.erase(found);
  while (!gone.empty()) {
    Inode& inode = inodes_[gone.back()];
    gone.pop_back();
    if (!S_ISDIR(inode.attributes.mode)) {
      --inode.links;
      continue;
    }
    for (const auto& [child_name, child] : inode.names) gone.push_back(child);
    inode.names.clear();
    inode.links = 0;
  }
}

}  // namespace berth::erofs
