// Clients that attached before a start: they are connected when the task is created and before it
// is started, so that they miss nothing. Thread-safe; owned by Engine.
#ifndef BERTH_SERVER_ENGINE_ATTACHMENTS_H_
#define BERTH_SERVER_ENGINE_ATTACHMENTS_H_

#include <cstdint>
#include <map>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "base/os/mutex.h"
#include "server/engine/container_table.h"

namespace berth::engine {

class Attachments {
 public:
  // Connects and then runs its argument, whether it went well or not; must not block.
  using Connect = absl::AnyInvocable<void(absl::AnyInvocable<void()>)>;

  uint64_t Add(const ContainerKey& key, Connect connect);
  void Cancel(const ContainerKey& key, uint64_t number);
  // Runs `ready` once all who wait for this container are connected; at once when nobody does.
  void OnTaskCreated(const ContainerKey& key, absl::AnyInvocable<void()> ready);

 private:
  Mutex mutex_;
  uint64_t next_ ABSL_GUARDED_BY(mutex_) = 1;
  absl::flat_hash_map<ContainerKey, std::map<uint64_t, Connect>> waiting_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace berth::engine

#endif  // BERTH_SERVER_ENGINE_ATTACHMENTS_H_
