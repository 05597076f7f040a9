// Small changes of a tree that tests make both in a mounted snapshot and in a plain directory, to
// compare the two afterwards. Each aborts the process when it fails. Thread-safe functions.
#ifndef BERTH_SNAPSHOTTER_SUITE_TREE_CHANGES_H_
#define BERTH_SNAPSHOTTER_SUITE_TREE_CHANGES_H_

#include <sys/types.h>

#include <functional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace berth::snapshots {

using Change = std::function<void(const std::string& root)>;

// In order.
Change All(std::vector<Change> changes);
Change MakeDir(std::string path, mode_t mode);
// Makes or overwrites; the mode is set in both cases.
Change WriteFile(std::string path, std::string content, mode_t mode = 0644);
Change Append(std::string path, std::string content);
Change RemoveAll(std::string path);
Change Chown(std::string path, uid_t uid, gid_t gid);
Change Chmod(std::string path, mode_t mode);
// As mv(1): where rename(2) answers EXDEV (a directory of a lower layer), the tree is moved by
// hand.
Change Move(std::string from, std::string to);
Change HardLink(std::string from, std::string to);
Change SymbolicLink(std::string goal, std::string path);
Change SetAttribute(std::string path, std::string name, std::string value);
Change MakeNode(std::string path, mode_t type_and_mode, dev_t device);

}  // namespace berth::snapshots

#endif  // BERTH_SNAPSHOTTER_SUITE_TREE_CHANGES_H_
