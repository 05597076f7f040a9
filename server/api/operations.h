// The calls on containers that have no answer yet: what `berth ps --ops` shows of a hung one.
//
// Invariant: an operation is listed from Begin until what Begin returned is gone. Thread-safe.
// Owned by the services that note their calls here, together.
#ifndef BERTH_SERVER_API_OPERATIONS_H_
#define BERTH_SERVER_API_OPERATIONS_H_

#include <list>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"
#include "base/os/mutex.h"

namespace berth {

// Whether calls on one container wait for each other.
enum class CallOrder { kInTurn, kAtOnce };

struct OperationInFlight {
  std::string ns;
  std::string container;
  std::string call;  // "Tasks.Start"
  CallOrder order = CallOrder::kAtOnce;
  absl::Time began = {};  // set by Begin
};

class Operations : public std::enable_shared_from_this<Operations> {
 public:
  // Keep the result until the call is answered.
  std::shared_ptr<void> Begin(OperationInFlight operation);
  // The oldest first.
  std::vector<OperationInFlight> List() const;

 private:
  using Table = std::list<OperationInFlight>;

  mutable Mutex mutex_;
  Table table_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace berth

#endif  // BERTH_SERVER_API_OPERATIONS_H_
