#include "shim/spec/mount_options.h"

#include <linux/mount.h>

#include <algorithm>

// Values of <linux/fs.h>'s MS_*, which cannot be included beside <sys/mount.h>'s.
namespace berth::spec {
namespace {

constexpr uint64_t kUnbindable = 1 << 17;
constexpr uint64_t kPrivate = 1 << 18;
constexpr uint64_t kSlave = 1 << 19;
constexpr uint64_t kShared = 1 << 20;
constexpr uint64_t kAtimeMask = MOUNT_ATTR__ATIME;
#ifndef MOUNT_ATTR_NOSYMFOLLOW
#define MOUNT_ATTR_NOSYMFOLLOW 0x00200000
#endif

// What a word does to the attributes: the bits of `clear` go, then those of `set` come.
struct AttributeWord {
  absl::string_view name;
  uint64_t set;
  uint64_t clear;
};

// With "r" in front each of these applies to the whole tree.
constexpr AttributeWord kAttributeWords[] = {
    {"ro", MOUNT_ATTR_RDONLY, 0},
    {"rw", 0, MOUNT_ATTR_RDONLY},
    {"nosuid", MOUNT_ATTR_NOSUID, 0},
    {"suid", 0, MOUNT_ATTR_NOSUID},
    {"nodev", MOUNT_ATTR_NODEV, 0},
    {"dev", 0, MOUNT_ATTR_NODEV},
    {"noexec", MOUNT_ATTR_NOEXEC, 0},
    {"exec", 0, MOUNT_ATTR_NOEXEC},
    {"nodiratime", MOUNT_ATTR_NODIRATIME, 0},
    {"diratime", 0, MOUNT_ATTR_NODIRATIME},
    {"noatime", MOUNT_ATTR_NOATIME, kAtimeMask},
    {"atime", 0, kAtimeMask},
    {"relatime", 0, kAtimeMask},  // MOUNT_ATTR_RELATIME is zero
    {"norelatime", 0, kAtimeMask},
    {"strictatime", MOUNT_ATTR_STRICTATIME, kAtimeMask},
    {"nostrictatime", 0, kAtimeMask},
    {"nosymfollow", MOUNT_ATTR_NOSYMFOLLOW, 0},
    {"symfollow", 0, MOUNT_ATTR_NOSYMFOLLOW},
};

struct PropagationWord {
  absl::string_view name;
  uint64_t flag;
};
constexpr PropagationWord kPropagationWords[] = {
    {"private", kPrivate}, {"shared", kShared}, {"slave", kSlave}, {"unbindable", kUnbindable}};

// Flags of the superblock, which fsconfig(2) takes by name; the second word takes the first back.
struct FilesystemWord {
  absl::string_view name;
  absl::string_view opposite;
};
constexpr FilesystemWord kFilesystemWords[] = {
    {"sync", "async"}, {"dirsync", ""}, {"mand", "nomand"}, {"lazytime", "nolazytime"}};

void Change(const AttributeWord& word, AttributeChange& change) {
  change.set = (change.set & ~word.clear) | word.set;
  change.clear = (change.clear & ~word.set) | word.clear;
}

bool ApplyAttribute(absl::string_view option, MountPlan& mount) {
  for (const AttributeWord& word : kAttributeWords) {
    if (option == word.name) {
      Change(word, mount.attributes);
      return true;
    }
    if (option.size() == word.name.size() + 1 && option[0] == 'r' &&
        option.substr(1) == word.name) {
      Change(word, mount.tree);
      return true;
    }
  }
  return false;
}

bool ApplyPropagation(absl::string_view option, MountPlan& mount) {
  for (const PropagationWord& word : kPropagationWords) {
    const bool recursive =
        option.size() == word.name.size() + 1 && option[0] == 'r' && option.substr(1) == word.name;
    if (option == word.name || recursive) {
      mount.propagation = word.flag;
      mount.recursive_propagation = recursive;
      return true;
    }
  }
  return false;
}

bool ApplyFilesystemFlag(absl::string_view option, MountPlan& mount) {
  auto& flags = mount.filesystem_flags;
  for (const FilesystemWord& word : kFilesystemWords) {
    if (option == word.name) {
      flags.emplace_back(word.name);
      return true;
    }
    if (!word.opposite.empty() && option == word.opposite) {
      flags.erase(std::remove(flags.begin(), flags.end(), word.name), flags.end());
      return true;
    }
  }
  return false;
}

// Bits of mount(2) that fsconfig(2) has no word for: how loud the kernel's log is, and a counter
// that filesystems keep by themselves today.
constexpr absl::string_view kWordsWithoutEffect[] = {"silent", "loud", "iversion", "noiversion",
                                                     "defaults"};

constexpr absl::string_view kOtherWords[] = {
    "bind",   "rbind",        "remount",       "acl",          "noacl",    "idmap",
    "ridmap", "src-nofollow", "dest-nofollow", "copy-symlink", "tmpcopyup"};

}  // namespace

void ApplyMountOption(absl::string_view option, MountPlan& mount) {
  if (ApplyAttribute(option, mount) || ApplyPropagation(option, mount) ||
      ApplyFilesystemFlag(option, mount)) {
    return;
  }
  if (option == "bind" || option == "rbind") {
    mount.bind = true;
    mount.recursive = option == "rbind";
  } else if (option == "remount") {
    mount.remount = true;
  } else if (option == "idmap" || option == "ridmap") {
    mount.id_map = option == "idmap" ? IdMapScope::kMount : IdMapScope::kTree;
  } else if (option == "src-nofollow") {
    mount.source_no_follow = true;
  } else if (option == "dest-nofollow") {
    mount.destination_no_follow = true;
  } else if (option == "copy-symlink") {
    mount.copy_symlink = true;
  } else if (option == "tmpcopyup") {
    mount.copy_up = true;
  } else if (!option.empty() &&
             std::find(std::begin(kWordsWithoutEffect), std::end(kWordsWithoutEffect), option) ==
                 std::end(kWordsWithoutEffect)) {
    mount.data.emplace_back(option);
  }
}

std::vector<std::string> KnownMountOptions() {
  std::vector<std::string> names;
  for (const AttributeWord& word : kAttributeWords) {
    names.emplace_back(word.name);
    names.push_back("r" + std::string(word.name));
  }
  for (const PropagationWord& word : kPropagationWords) {
    names.emplace_back(word.name);
    names.push_back("r" + std::string(word.name));
  }
  for (const FilesystemWord& word : kFilesystemWords) {
    names.emplace_back(word.name);
    if (!word.opposite.empty()) names.emplace_back(word.opposite);
  }
  for (absl::string_view word : kOtherWords) names.emplace_back(word);
  for (absl::string_view word : kWordsWithoutEffect) names.emplace_back(word);
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace berth::spec
