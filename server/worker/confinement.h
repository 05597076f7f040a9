// Takes from the calling thread everything that its job does not need.
//
// By Landlock: afterwards the thread, and every thread it starts, can open, make and remove files
// only below the given directories, and reach no TCP port and no abstract socket. What is open
// stays usable. Also sets no_new_privs. A kernel without Landlock leaves the rest of the defence:
// the safe writer (snapshotter/layer). Thread-hostile: changes the calling thread for good.
#ifndef BERTH_SERVER_WORKER_CONFINEMENT_H_
#define BERTH_SERVER_WORKER_CONFINEMENT_H_

#include <vector>

#include "absl/status/status.h"
#include "base/os/unique_fd.h"

namespace berth::worker {

struct Reach {
  std::vector<BorrowedFd> readable;  // directories
  std::vector<BorrowedFd> writable;
  enum class Network {
    kNone,
    kOutgoing,   // connections may be made, none accepted
    kAccepting,  // connections are accepted where a listener is open; none are made
  } network = Network::kNone;
};

// Errors: those of the system, but OK where the kernel has no Landlock.
absl::Status Confine(const Reach& reach);

}  // namespace berth::worker

#endif  // BERTH_SERVER_WORKER_CONFINEMENT_H_
