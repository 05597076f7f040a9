// A file or directory tree as a tar stream that is pulled piece by piece, so that a slow reader
// holds neither a thread nor memory.
//
// Never follows a link and never leaves the tree; kernel filesystems mounted within (proc, sysfs,
// cgroups) are empty directories in it. What vanishes meanwhile is left out; a file that shrinks is
// filled with zeros. Thread-compatible; owned by one download.
#ifndef BERTH_SERVER_ENGINE_TREE_ARCHIVE_H_
#define BERTH_SERVER_ENGINE_TREE_ARCHIVE_H_

#include <sys/stat.h>

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/os/unique_fd.h"

namespace berth::engine {

class TreeArchive {
 public:
  // `top`: an O_PATH descriptor, called `name` in the archive ("." for the contents alone).
  TreeArchive(UniqueFd top, absl::string_view name);

  // Replaces `data` by the next piece, at most about 256 KiB; false at the end. Blocks.
  absl::StatusOr<bool> Next(std::string& data);

 private:
  struct Directory {
    UniqueFd fd;
    std::string path;
    dev_t device = 0;
    std::vector<std::string> names;  // backwards
  };

  // Adds the member's header; a file's data and a directory's names are left for later.
  absl::Status Add(BorrowedFd found, const std::string& path, std::string& data);
  absl::Status AddFile(BorrowedFd found, const struct stat& status, const std::string& path,
                       std::string& data);
  absl::Status Enter(BorrowedFd found, const struct stat& status, const std::string& path);
  absl::Status AddNextName(std::string& data);
  absl::Status AppendData(std::string& data);

  UniqueFd top_;
  const std::string name_;
  std::vector<Directory> open_;
  UniqueFd file_;
  uint64_t left_ = 0;
  uint64_t padding_ = 0;
  bool is_finished_ = false;
  // The first name of files that have several.
  std::map<std::pair<dev_t, ino_t>, std::string> linked_;
};

}  // namespace berth::engine

#endif  // BERTH_SERVER_ENGINE_TREE_ARCHIVE_H_
