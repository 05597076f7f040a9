// The words by which mount(8) calls the kernel's mount flags, as far as every mount of ours takes
// them. A word that is none of these is an option of the filesystem, or its caller's own.
// Immutable.
#ifndef BERTH_BASE_OS_MOUNT_WORDS_H_
#define BERTH_BASE_OS_MOUNT_WORDS_H_

#include <sys/mount.h>

#include "absl/strings/string_view.h"

namespace berth {

struct MountWord {
  absl::string_view name;
  unsigned long set;
  unsigned long clear;

  unsigned long Apply(unsigned long flags) const { return (flags & ~clear) | set; }
};

inline constexpr MountWord kMountWords[] = {{"defaults", 0, 0},
                                            {"ro", MS_RDONLY, 0},
                                            {"rw", 0, MS_RDONLY},
                                            {"nosuid", MS_NOSUID, 0},
                                            {"suid", 0, MS_NOSUID},
                                            {"nodev", MS_NODEV, 0},
                                            {"dev", 0, MS_NODEV},
                                            {"noexec", MS_NOEXEC, 0},
                                            {"exec", 0, MS_NOEXEC},
                                            {"sync", MS_SYNCHRONOUS, 0},
                                            {"async", 0, MS_SYNCHRONOUS},
                                            {"dirsync", MS_DIRSYNC, 0},
                                            {"noatime", MS_NOATIME, 0},
                                            {"atime", 0, MS_NOATIME},
                                            {"nodiratime", MS_NODIRATIME, 0},
                                            {"diratime", 0, MS_NODIRATIME},
                                            {"relatime", MS_RELATIME, 0},
                                            {"norelatime", 0, MS_RELATIME},
                                            {"strictatime", MS_STRICTATIME, 0},
                                            {"bind", MS_BIND, 0},
                                            {"rbind", MS_BIND | MS_REC, 0}};

}  // namespace berth

#endif  // BERTH_BASE_OS_MOUNT_WORDS_H_
