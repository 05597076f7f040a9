// The device nodes below /dev of this host, for a privileged container. Thread-safe function.
#ifndef BERTH_BASE_OCI_HOST_DEVICES_H_
#define BERTH_BASE_OCI_HOST_DEVICES_H_

#include <cstdint>
#include <string>
#include <vector>

namespace berth::oci {

struct HostDevice {
  std::string path;
  char type = 'c';  // or 'b'
  int64_t device_major = 0;
  int64_t device_minor = 0;
  uint32_t mode = 0666;
  uint32_t uid = 0;
  uint32_t gid = 0;
};

// Without those that every container gets of its own (ptys, console, tty, null ...).
std::vector<HostDevice> ListHostDevices();

}  // namespace berth::oci

#endif  // BERTH_BASE_OCI_HOST_DEVICES_H_
