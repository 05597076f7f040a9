#include "server/api/operations.h"

#include <utility>

#include "absl/time/clock.h"

namespace berth {

std::shared_ptr<void> Operations::Begin(OperationInFlight operation) {
  operation.began = absl::Now();
  const MutexLock lock(&mutex_);
  table_.push_back(std::move(operation));
  const Table::iterator at = std::prev(table_.end());
  // The table goes with the last call that is noted in it.
  return std::shared_ptr<void>(nullptr, [self = shared_from_this(), at](void*) {
    const MutexLock lock(&self->mutex_);
    self->table_.erase(at);
  });
}

std::vector<OperationInFlight> Operations::List() const {
  const MutexLock lock(&mutex_);
  return {table_.begin(), table_.end()};
}

}  // namespace berth
