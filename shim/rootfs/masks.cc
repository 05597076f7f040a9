#include "shim/rootfs/masks.h"

#include <errno.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "shim/init/raw_open.h"
#include "shim/rootfs/mount_api.h"

namespace berth::rootfs {
namespace {

class Masker {
 public:
  Masker(init::Reporter& report, const spec::LaunchPlan& plan, int root)
      : report_(report), plan_(plan), root_(root) {}

  void MakeReadonly(const std::string& path) {
    const int target = OpenInside(root_, path.c_str(), O_PATH);
    if (target < 0) return Skip(path);
    const int tree = OpenTree(target, "", OPEN_TREE_CLONE | AT_RECURSIVE | AT_EMPTY_PATH);
    if (tree < 0) report_.Fail(errno, "clone read-only path", path);
    Attributes attributes;
    attributes.set = MOUNT_ATTR_RDONLY;
    if (SetAttributes(tree, attributes, Reach::kMount) != 0 || AttachMount(tree, target) != 0) {
      report_.Fail(errno, "make read-only", path);
    }
    ::close(tree);
    ::close(target);
  }

  void Mask(const std::string& path) {
    const int target = OpenInside(root_, path.c_str(), O_PATH);
    if (target < 0) return Skip(path);
    struct stat info;
    if (::fstat(target, &info) != 0) report_.Fail(errno, "stat masked path", path);
    const int tree = S_ISDIR(info.st_mode) ? EmptyDirectory(target) : CloneNull();
    if (tree >= 0 && AttachMount(tree, target) != 0) report_.Fail(errno, "mask", path);
    if (tree >= 0 && tree != empty_) ::close(tree);
    ::close(target);
  }

  void Finish() {
    if (empty_ >= 0) ::close(empty_);
    if (null_ >= 0) ::close(null_);
  }

 private:
  void Skip(const std::string& path) {
    if (errno != ENOENT && errno != ENOTDIR && errno != EACCES) {
      report_.Fail(errno, "open path to mask", path);
    }
  }

  // The host's /dev/null, checked to be it: an image's could be anything.
  int CloneNull() {
    if (null_ < 0) {
      null_ = RawOpen("/dev/null", O_PATH | O_NOFOLLOW | O_CLOEXEC);
      struct stat info;
      if (null_ < 0 || ::fstat(null_, &info) != 0) report_.Fail(errno, "open", "/dev/null");
      if (!S_ISCHR(info.st_mode) || info.st_rdev != ::makedev(1, 3)) {
        report_.FailVerbatim(EINVAL, "the host's /dev/null is not the null device");
      }
    }
    const int tree = OpenTree(null_, "", OPEN_TREE_CLONE | AT_EMPTY_PATH);
    if (tree < 0) report_.Fail(errno, "clone", "/dev/null");
    return tree;
  }

  // The first use attaches the tmpfs itself; later ones attach clones of it, for only an attached
  // mount can be cloned before Linux 6.15.
  int EmptyDirectory(int target) {
    if (empty_ >= 0) {
      const int tree = OpenTree(empty_, "", OPEN_TREE_CLONE | AT_EMPTY_PATH);
      if (tree < 0) report_.Fail(errno, "clone the empty directory");
      return tree;
    }
    const int context = FsOpen("tmpfs");
    if (context < 0 || FsSetString(context, "nr_inodes", "2") != 0 ||
        FsSetString(context, "size", "4k") != 0 || FsSetString(context, "mode", "755") != 0 ||
        (!plan_.mount_label.empty() &&
         FsSetString(context, "context", plan_.mount_label.c_str()) != 0) ||
        FsCreate(context) != 0) {
      report_.Fail(errno, "make an empty directory to mask with");
    }
    empty_ = FsMount(context,
                     MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
    if (empty_ < 0) report_.Fail(errno, "make an empty directory to mask with");
    ::close(context);
    if (AttachMount(empty_, target) != 0) report_.Fail(errno, "mask a directory");
    return -1;
  }

  init::Reporter& report_;
  const spec::LaunchPlan& plan_;
  const int root_;
  int empty_ = -1;
  int null_ = -1;
};

}  // namespace

void MaskPaths(init::Reporter& report, const spec::LaunchPlan& plan, int root) {
  if (plan.root_readonly) {
    Attributes attributes;
    attributes.set = MOUNT_ATTR_RDONLY;
    if (SetAttributes(root, attributes, Reach::kMount) != 0) {
      report.Fail(errno, "make the root read-only");
    }
  }
  Masker masker(report, plan, root);
  for (const std::string& path : plan.readonly_paths) masker.MakeReadonly(path);
  for (const std::string& path : plan.masked_paths) masker.Mask(path);
  masker.Finish();
}

}  // namespace berth::rootfs
