// The tasks that this daemon knows, by namespace and id.
//
// Invariant: a key is in the table from the first step of its Create until its bundle is gone, so
// that an id is never used twice at a time. Loop-only. Owned by TaskManager.
#ifndef BERTH_SERVER_TASK_TASK_TABLE_H_
#define BERTH_SERVER_TASK_TASK_TABLE_H_

#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "server/task/task.h"

namespace berth {

class TaskTable {
 public:
  using TaskPtr = std::shared_ptr<Task>;

  // nullptr when there is none.
  TaskPtr Find(const TaskKey& key) const {
    const auto found = tasks_.find({key.ns, key.id});
    return found == tasks_.end() ? nullptr : found->second;
  }
  // Requires: the key is not in the table.
  void Insert(TaskPtr task) {
    std::pair<std::string, std::string> key(task->key().ns, task->key().id);
    tasks_.emplace(std::move(key), std::move(task));
  }
  void Erase(const TaskKey& key) { tasks_.erase({key.ns, key.id}); }
  // Sorted by id.
  std::vector<TaskPtr> InNamespace(const std::string& ns) const {
    std::vector<TaskPtr> tasks;
    for (auto it = tasks_.lower_bound({ns, ""}); it != tasks_.end() && it->first.first == ns;
         ++it) {
      tasks.push_back(it->second);
    }
    return tasks;
  }
  std::vector<TaskPtr> All() const {
    std::vector<TaskPtr> tasks;
    for (const auto& [key, task] : tasks_) tasks.push_back(task);
    return tasks;
  }
  size_t size() const { return tasks_.size(); }

 private:
  std::map<std::pair<std::string, std::string>, TaskPtr> tasks_;
};

}  // namespace berth

#endif  // BERTH_SERVER_TASK_TASK_TABLE_H_
