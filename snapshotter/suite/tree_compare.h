// The state of a tree as text, so that two trees are compared by comparing maps and a failing test
// prints what differs. Thread-safe function.
#ifndef BERTH_SNAPSHOTTER_SUITE_TREE_COMPARE_H_
#define BERTH_SNAPSHOTTER_SUITE_TREE_COMPARE_H_

#include <map>
#include <string>

namespace berth::snapshots {

enum class CompareTimes { kNo, kYes };

// Path relative to `root` ("." is the root itself) -> type, mode, owner, size, contents, goal of a
// link, device numbers, user and security attributes, and of which other path it is a hard link.
std::map<std::string, std::string> DescribeTree(const std::string& root,
                                                CompareTimes times = CompareTimes::kNo);

}  // namespace berth::snapshots

#endif  // BERTH_SNAPSHOTTER_SUITE_TREE_COMPARE_H_
