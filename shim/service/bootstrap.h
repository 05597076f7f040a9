// What containerd says to `start` on stdin, and how it wants to be answered: three generations.
//
// containerd up to 2.2 sends an Any with the runtime options and reads the bare address (1.6) or a
// JSON object (from 1.7 on, told by MAX_SHIM_VERSION); from 2.3 on it sends and reads messages of
// its own, to old shims too. An old Any often parses as the new message: the instance id tells them
// apart. Pure functions, thread-safe.
#ifndef BERTH_SHIM_SERVICE_BOOTSTRAP_H_
#define BERTH_SHIM_SERVICE_BOOTSTRAP_H_

#include <string>

#include "absl/strings/string_view.h"
#include "google/protobuf/any.pb.h"

namespace berth::service {

struct BootstrapRequest {
  enum class Answer { kAddress, kJson, kMessage } answer = Answer::kAddress;
  std::string socket_directory;  // empty: containerd's
  google::protobuf::Any options;
};

// `max_shim_version` is the environment's MAX_SHIM_VERSION.
BootstrapRequest ParseBootstrap(absl::string_view input, absl::string_view id,
                                absl::string_view max_shim_version);
// What `start` prints for the shim at `address` ("unix:///...").
std::string BootstrapAnswer(BootstrapRequest::Answer answer, absl::string_view address);

}  // namespace berth::service

#endif  // BERTH_SHIM_SERVICE_BOOTSTRAP_H_
