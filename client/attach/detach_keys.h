// The keys that end an attach and leave the program running: ctrl-p ctrl-q, or the user's own.
//
// Invariant: bytes that may begin the sequence are held back until the next byte decides; nothing
// else changes what passes. Thread-compatible; owned by the session.
#ifndef BERTH_CLIENT_ATTACH_DETACH_KEYS_H_
#define BERTH_CLIENT_ATTACH_DETACH_KEYS_H_

#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace berth::client {

class DetachKeys {
 public:
  // "ctrl-p,ctrl-q", "a,b", "ctrl-@"; empty: the default. Errors: INVALID_ARGUMENT.
  static absl::StatusOr<DetachKeys> Parse(absl::string_view text);

  struct Passed {
    std::string data;  // what goes to the program
    bool detaches = false;
  };
  Passed Feed(absl::string_view input);

 private:
  explicit DetachKeys(std::string keys) : keys_(std::move(keys)) {}

  std::string keys_;
  size_t matched_ = 0;  // bytes held back: the first ones of keys_
};

}  // namespace berth::client

#endif  // BERTH_CLIENT_ATTACH_DETACH_KEYS_H_
