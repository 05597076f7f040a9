// Collects the answers to a number of calls that run at the same time, in their order.
//
// Invariant: `done` runs once, when every place has been put, at once when there is none.
// Thread-compatible; owned by the callbacks that put.
#ifndef BERTH_SERVER_TASK_GATHER_H_
#define BERTH_SERVER_TASK_GATHER_H_

#include <cstddef>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"

namespace berth {

template <typename T>
class Gather {
 public:
  using Done = absl::AnyInvocable<void(std::vector<std::optional<T>>)>;

  static std::shared_ptr<Gather> Create(size_t count, Done done) {
    std::shared_ptr<Gather> gather(new Gather(count, std::move(done)));
    if (count == 0) gather->done_({});
    return gather;
  }
  // Requires: `index` was not put before.
  void Put(size_t index, std::optional<T> value) {
    found_[index] = std::move(value);
    if (--missing_ == 0) done_(std::move(found_));
  }

 private:
  Gather(size_t count, Done done) : found_(count), missing_(count), done_(std::move(done)) {}
  std::vector<std::optional<T>> found_;
  size_t missing_;
  Done done_;
};

}  // namespace berth

#endif  // BERTH_SERVER_TASK_GATHER_H_
