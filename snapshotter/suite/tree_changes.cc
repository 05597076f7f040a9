#include "snapshotter/suite/tree_changes.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>
#include <utility>

#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "base/status/check.h"

namespace berth::snapshots {
namespace {

void Write(const std::string& path, const std::string& content, int flags) {
  const auto fd = OpenFile(path, O_WRONLY | O_CREAT | flags, 0600);
  BERTH_CHECK(fd.ok());
  BERTH_CHECK(WriteAll(*fd, content).ok());
}

}  // namespace

Change All(std::vector<Change> changes) {
  return [changes = std::move(changes)](const std::string& root) {
    for (const Change& change : changes) change(root);
  };
}

Change MakeDir(std::string path, mode_t mode) {
  return [=](const std::string& root) {
    BERTH_CHECK(::mkdir((root + path).c_str(), mode) == 0);
    BERTH_CHECK(::chmod((root + path).c_str(), mode) == 0);
  };
}

Change WriteFile(std::string path, std::string content, mode_t mode) {
  return [=](const std::string& root) {
    Write(root + path, content, O_TRUNC);
    BERTH_CHECK(::chmod((root + path).c_str(), mode) == 0);
  };
}

Change Append(std::string path, std::string content) {
  return [=](const std::string& root) { Write(root + path, content, O_APPEND); };
}

Change RemoveAll(std::string path) {
  return [=](const std::string& root) {
    BERTH_CHECK(RemoveTreeAt(BorrowedFd(AT_FDCWD), root + path).ok());
  };
}

Change Chown(std::string path, uid_t uid, gid_t gid) {
  return
      [=](const std::string& root) { BERTH_CHECK(::lchown((root + path).c_str(), uid, gid) == 0); };
}

Change Chmod(std::string path, mode_t mode) {
  return [=](const std::string& root) { BERTH_CHECK(::chmod((root + path).c_str(), mode) == 0); };
}

Change Move(std::string from, std::string to) {
  return [=](const std::string& root) {
    if (::rename((root + from).c_str(), (root + to).c_str()) == 0) return;
    BERTH_CHECK(errno == EXDEV);
    namespace fs = std::filesystem;
    std::error_code error;
    fs::copy(root + from, root + to, fs::copy_options::recursive | fs::copy_options::copy_symlinks,
             error);
    BERTH_CHECK(!error);
    fs::remove_all(root + from, error);
    BERTH_CHECK(!error);
  };
}

Change HardLink(std::string from, std::string to) {
  return [=](const std::string& root) {
    BERTH_CHECK(::link((root + from).c_str(), (root + to).c_str()) == 0);
  };
}

Change SymbolicLink(std::string goal, std::string path) {
  return [=](const std::string& root) {
    BERTH_CHECK(::symlink(goal.c_str(), (root + path).c_str()) == 0);
  };
}

Change SetAttribute(std::string path, std::string name, std::string value) {
  return [=](const std::string& root) {
    BERTH_CHECK(::lsetxattr((root + path).c_str(), name.c_str(), value.data(), value.size(), 0) ==
                0);
  };
}

Change MakeNode(std::string path, mode_t type_and_mode, dev_t device) {
  return [=](const std::string& root) {
    BERTH_CHECK(::mknod((root + path).c_str(), type_and_mode, device) == 0);
  };
}

}  // namespace berth::snapshots
