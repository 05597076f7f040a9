#include "server/engine/tree_archive.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <optional>

#include "absl/strings/str_cat.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"
#include "snapshotter/layer/byte_stream.h"
#include "snapshotter/layer/entry.h"
#include "snapshotter/layer/tar_writer.h"
#include "snapshotter/layer/xattr.h"

namespace berth::engine {
namespace {

using layer::Entry;
using layer::EntryType;

constexpr size_t kPieceBytes = 256 << 10;
constexpr size_t kBlockBytes = 512;
constexpr size_t kMaxDepth = 256;
constexpr size_t kMaxLinked = 1 << 17;  // beyond, further names are copies

class StringSink final : public layer::ByteSink {
 public:
  explicit StringSink(std::string& out) : out_(out) {}
  absl::Status Write(absl::string_view bytes) override {
    absl::StrAppend(&out_, bytes);
    return absl::OkStatus();
  }

 private:
  std::string& out_;
};

bool IsKernelFilesystem(BorrowedFd directory) {
  struct statfs status = {};
  if (::fstatfs(directory.get(), &status) != 0) return false;
  return status.f_type == PROC_SUPER_MAGIC || status.f_type == SYSFS_MAGIC ||
         status.f_type == CGROUP_SUPER_MAGIC || status.f_type == CGROUP2_SUPER_MAGIC;
}

}  // namespace

TreeArchive::TreeArchive(UniqueFd top, absl::string_view name)
    : top_(std::move(top)), name_(name == "/" ? "." : std::string(name)) {}

absl::StatusOr<bool> TreeArchive::Next(std::string& data) {
  data.clear();
  if (is_finished_) return false;
  if (top_.valid()) {
    const UniqueFd top = std::move(top_);
    BERTH_RETURN_IF_ERROR(Add(top, name_, data));
  }
  while (data.size() < kPieceBytes) {
    if (file_.valid()) {
      BERTH_RETURN_IF_ERROR(AppendData(data));
    } else if (!open_.empty()) {
      BERTH_RETURN_IF_ERROR(AddNextName(data));
    } else {
      data.append(2 * kBlockBytes, '\0');
      is_finished_ = true;
      break;
    }
  }
  return true;
}

absl::Status TreeArchive::AddNextName(std::string& data) {
  Directory& directory = open_.back();
  if (directory.names.empty()) {
    open_.pop_back();
    return absl::OkStatus();
  }
  const std::string name = std::move(directory.names.back());
  directory.names.pop_back();
  const absl::StatusOr<UniqueFd> found = OpenAt(directory.fd, name, O_PATH | O_NOFOLLOW);
  if (absl::IsNotFound(found.status())) return absl::OkStatus();  // gone meanwhile
  BERTH_RETURN_IF_ERROR(found.status());
  return Add(*found, absl::StrCat(directory.path, "/", name), data);
}

absl::Status TreeArchive::Add(BorrowedFd found, const std::string& path, std::string& data) {
  struct stat status = {};
  if (::fstat(found.get(), &status) != 0) return ErrnoStatus(errno, "fstat", path);
  const std::optional<EntryType> type = layer::EntryTypeOf(status.st_mode);
  if (!type.has_value()) return absl::OkStatus();
  if (S_ISREG(status.st_mode)) return AddFile(found, status, path, data);
  Entry entry;
  entry.path = path;
  entry.type = *type;
  entry.permissions = status.st_mode & 07777;
  entry.uid = status.st_uid;
  entry.gid = status.st_gid;
  entry.device = status.st_rdev;
  entry.modified = status.st_mtim;
  if (S_ISLNK(status.st_mode)) {
    char target[PATH_MAX];
    const ssize_t length = ::readlinkat(found.get(), "", target, sizeof(target));
    if (length < 0) return ErrnoStatus(errno, "readlinkat", path);
    entry.link_target.assign(target, static_cast<size_t>(length));
  }
  if (auto xattrs = layer::ReadImageXattrs(found); xattrs.ok()) entry.xattrs = *std::move(xattrs);
  StringSink sink(data);
  BERTH_RETURN_IF_ERROR(layer::TarWriter(sink).AddHeader(entry));
  return S_ISDIR(status.st_mode) ? Enter(found, status, path) : absl::OkStatus();
}

absl::Status TreeArchive::AddFile(BorrowedFd found, const struct stat& status,
                                  const std::string& path, std::string& data) {
  Entry entry;
  entry.path = path;
  entry.permissions = status.st_mode & 07777;
  entry.uid = status.st_uid;
  entry.gid = status.st_gid;
  entry.modified = status.st_mtim;
  StringSink sink(data);
  if (status.st_nlink > 1) {
    const auto [first, is_new] =
        linked_.size() < kMaxLinked
            ? linked_.emplace(std::pair(status.st_dev, status.st_ino), path)
            : std::pair(linked_.find(std::pair(status.st_dev, status.st_ino)), false);
    if (!is_new && first != linked_.end()) {
      entry.type = EntryType::kHardlink;
      entry.link_target = first->second;
      return layer::TarWriter(sink).AddHeader(entry);
    }
  }
  // By the descriptor, so that it is the file that was looked at.
  BERTH_ASSIGN_OR_RETURN(file_, OpenFile(layer::ProcPath(found), O_RDONLY | O_NONBLOCK),
                         _ << "open " << path);
  entry.size_bytes = static_cast<uint64_t>(status.st_size);
  if (auto xattrs = layer::ReadImageXattrs(found); xattrs.ok()) entry.xattrs = *std::move(xattrs);
  left_ = entry.size_bytes;
  padding_ = (kBlockBytes - left_ % kBlockBytes) % kBlockBytes;
  return layer::TarWriter(sink).AddHeader(entry);
}

absl::Status TreeArchive::Enter(BorrowedFd found, const struct stat& status,
                                const std::string& path) {
  const bool is_mount = !open_.empty() && open_.back().device != status.st_dev;
  if (is_mount && IsKernelFilesystem(found)) return absl::OkStatus();
  if (open_.size() >= kMaxDepth) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, " is deeper than ", kMaxDepth, " directories"));
  }
  BERTH_ASSIGN_OR_RETURN(UniqueFd directory, OpenAt(found, ".", O_RDONLY | O_DIRECTORY),
                         _ << "open " << path);
  BERTH_ASSIGN_OR_RETURN(std::vector<std::string> names, ListDirectory(directory));
  std::sort(names.begin(), names.end(), std::greater<>());
  open_.push_back({std::move(directory), path, status.st_dev, std::move(names)});
  return absl::OkStatus();
}

absl::Status TreeArchive::AppendData(std::string& data) {
  const size_t begin = data.size();
  const size_t want = static_cast<size_t>(std::min<uint64_t>(left_, kPieceBytes));
  data.resize(begin + want);  // zeros, which stand for what is no longer there
  if (want > 0) {
    ssize_t got = 0;
    do {
      got = ::read(file_.get(), data.data() + begin, want);
    } while (got < 0 && errno == EINTR);
    if (got < 0) return ErrnoStatus(errno, "read a file of the container");
    if (got > 0) data.resize(begin + static_cast<size_t>(got));
    left_ -= data.size() - begin;
  }
  if (left_ == 0) {
    data.append(padding_, '\0');
    file_.Reset();
  }
  return absl::OkStatus();
}

}  // namespace berth::engine
