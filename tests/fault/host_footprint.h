// What a daemon and its containers have on this host and in its store, as a set of words.
//
// Invariant: two footprints of a daemon at rest are equal when nothing was leaked or lost between
// them. Immutable value. Owned by the harness's main.
#ifndef BERTH_TESTS_FAULT_HOST_FOOTPRINT_H_
#define BERTH_TESTS_FAULT_HOST_FOOTPRINT_H_

#include <sys/types.h>

#include <set>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace berth::fault {

struct Place {
  std::string directory;  // holds root/ and state/
  std::string ns;         // the namespace, which names the parent of the control groups
};

// Processes (this process's descendants but `daemon`, by name), mounts, control groups, network
// namespaces that the daemon holds, files of root and state; `names` are the store's objects.
std::set<std::string> TakeFootprint(const Place& place, pid_t daemon,
                                    const std::vector<std::string>& names);

}  // namespace berth::fault

#endif  // BERTH_TESTS_FAULT_HOST_FOOTPRINT_H_
