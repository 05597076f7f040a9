// The device nodes below /dev of this host, for a privileged container. Thread-safe function.
#ifndef BERTH_CLIENT_SDK_HOST_DEVICES_H_
#define BERTH_CLIENT_SDK_HOST_DEVICES_H_

#include <vector>

#include "client/sdk/container_spec.h"

namespace berth::client {

// Without those that every container gets of its own (ptys, console, tty, null ...).
std::vector<HostDevice> ListHostDevices();

}  // namespace berth::client

#endif  // BERTH_CLIENT_SDK_HOST_DEVICES_H_
