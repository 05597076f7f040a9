// Who wants to know that the metadata changed: garbage collection schedules itself by it.
//
// OnChange never blocks. Called after the commit, from any thread. Implemented by server/gc, lent
// to the stores; a store without a listener gets null. Thread-safe.
#ifndef BERTH_SERVER_METADATA_CHANGE_LISTENER_H_
#define BERTH_SERVER_METADATA_CHANGE_LISTENER_H_

namespace berth::metadata {

enum class Change {
  kAdded,     // nothing can have become garbage
  kReleased,  // something may have: a deletion, or a label or target that was replaced
};

class ChangeListener {
 public:
  virtual ~ChangeListener() = default;
  virtual void OnChange(Change change) = 0;
};

}  // namespace berth::metadata

#endif  // BERTH_SERVER_METADATA_CHANGE_LISTENER_H_
