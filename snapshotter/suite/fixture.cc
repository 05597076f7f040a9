#include "snapshotter/suite/fixture.h"

#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "base/status/check.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"
#include "snapshotter/store/layer_table.h"

namespace berth::snapshots {
namespace {

constexpr char kLowerPrefix[] = "lowerdir=";

struct MountData {
  unsigned long flags = 0;
  std::vector<std::string> options;
};

MountData ParseOptions(const std::vector<std::string>& options) {
  const absl::flat_hash_map<absl::string_view, unsigned long> known = {
      {"ro", MS_RDONLY}, {"rw", 0}, {"bind", MS_BIND}, {"rbind", MS_BIND | MS_REC}};
  MountData data;
  for (const std::string& option : options) {
    const auto found = known.find(option);
    if (found != known.end()) {
      data.flags |= found->second;
    } else {
      data.options.push_back(option);
    }
  }
  return data;
}

// The data of mount(2) is one page. The lower directories of an overlay share a long beginning,
// which becomes the working directory.
std::string ShortenLowerDirectories(const std::string& option, std::string& working_directory) {
  const std::string list(absl::StripPrefix(option, kLowerPrefix));
  const size_t first_end = list.find("/layers/");
  BERTH_CHECK(first_end != std::string::npos);
  working_directory = list.substr(0, first_end + 8);
  return absl::StrCat(kLowerPrefix, absl::StrReplaceAll(list, {{working_directory, ""}}));
}

absl::Status MountOne(const Mount& mount, const std::string& target) {
  MountData data = ParseOptions(mount.options);
  std::string working_directory;
  for (std::string& option : data.options) {
    if (absl::StartsWith(option, kLowerPrefix)) {
      option = ShortenLowerDirectories(option, working_directory);
    }
  }
  BERTH_ASSIGN_OR_RETURN(const UniqueFd before, OpenFile(".", O_RDONLY | O_DIRECTORY));
  if (!working_directory.empty() && ::chdir(working_directory.c_str()) != 0) {
    return ErrnoStatus(errno, "chdir", working_directory);
  }
  const std::string joined = absl::StrJoin(data.options, ",");
  const int result =
      ::mount(mount.source.c_str(), target.c_str(), mount.type.c_str(), data.flags, joined.c_str());
  const int error = errno;
  BERTH_CHECK(::fchdir(before.get()) == 0);
  if (result != 0) return ErrnoStatus(error, absl::StrCat("mount (", joined, ") on"), target);
  // A bind mount takes "ro" only when it is mounted again.
  if ((data.flags & MS_BIND) != 0 && (data.flags & MS_RDONLY) != 0 &&
      ::mount(nullptr, target.c_str(), nullptr, MS_BIND | MS_REMOUNT | MS_RDONLY, nullptr) != 0) {
    return ErrnoStatus(errno, "remount read-only", target);
  }
  return absl::OkStatus();
}

}  // namespace

void EnterPrivateMountNamespace() {
  BERTH_CHECK(::geteuid() == 0);  // tests of snapshotters are tagged requires-root
  BERTH_CHECK(::unshare(CLONE_NEWNS) == 0);
  BERTH_CHECK(::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0);
}

TestDirectory::TestDirectory() {
  const char* base = ::getenv("TEST_TMPDIR");
  path_ = absl::StrCat(base != nullptr ? base : "/tmp", "/snapshots-test-XXXXXX");
  BERTH_CHECK(::mkdtemp(path_.data()) != nullptr);
}

TestDirectory::~TestDirectory() {
  RemoveTreeAt(BorrowedFd(AT_FDCWD), path_).IgnoreError();  // Bazel empties its own as well
}

std::string TestDirectory::Sub(absl::string_view name) const {
  return absl::StrCat(path_, "/", name);
}

std::string TestDirectory::MakeEmpty() {
  std::string path = Sub(absl::StrCat("d", next_++));
  BERTH_CHECK(::mkdir(path.c_str(), 0755) == 0);
  return path;
}

absl::StatusOr<std::unique_ptr<sqlite::Database>> OpenLayerDatabase(const std::string& path) {
  return sqlite::Database::Open(path, {{{1, 0}, kLayerTableSchema}});
}

MountedSnapshot::MountedSnapshot(const std::vector<Mount>& mounts, std::string target)
    : target_(std::move(target)) {
  for (const Mount& mount : mounts) {
    status_ = MountOne(mount, target_);
    if (!status_.ok()) return;
  }
}

MountedSnapshot::~MountedSnapshot() {
  if (status_.ok()) ::umount2(target_.c_str(), MNT_DETACH);
}

}  // namespace berth::snapshots
