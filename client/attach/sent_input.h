// Input that was sent to a process and is not known to have arrived: what a server that dies must
// not lose. It is sent again on the next call, from where the shim says that it is.
//
// Invariant: what was added is here until Taken says that the shim has it; at most kWindowBytes and
// one piece. Thread-safe; owned by the session: one thread sends, another reads the answers.
#ifndef BERTH_CLIENT_ATTACH_SENT_INPUT_H_
#define BERTH_CLIENT_ATTACH_SENT_INPUT_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "base/os/mutex.h"

namespace berth::client {

class SentInput {
 public:
  static constexpr size_t kWindowBytes = 256 << 10;

  // A call begins. With anything kept, AwaitResume tells what to send first.
  void Begin();
  // The call is over: those who wait return.
  void Stop();

  void Add(absl::string_view bytes);
  // The shim has so many bytes of all that were ever sent.
  void Taken(uint64_t total);

  // Blocks until there is room for a piece. False: the call is over.
  bool AwaitRoom();
  // Blocks until the shim has said, on this call, how much it has. What is to be sent again, or
  // nothing when the call is over.
  std::optional<std::string> AwaitResume();

  bool Contains(char byte) const;
  bool IsFull() const;

 private:
  bool HasRoom() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return is_over_ || kept_.size() < kWindowBytes;
  }
  bool IsKnown() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return is_over_ || is_known_; }

  mutable Mutex mutex_;
  std::string kept_ ABSL_GUARDED_BY(mutex_);
  uint64_t begin_ ABSL_GUARDED_BY(mutex_) = 0;  // of kept_, in all that was ever sent
  bool is_known_ ABSL_GUARDED_BY(mutex_) = false;
  bool is_over_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace berth::client

#endif  // BERTH_CLIENT_ATTACH_SENT_INPUT_H_
