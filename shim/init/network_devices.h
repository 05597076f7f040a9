// The host's network devices that a container gets for itself ($.linux.netDevices).
//
// A device loses its addresses when it changes namespace, so those of global scope are read before
// and set again after. The host's side is held by a netlink socket that belongs to the namespace it
// was made in, wherever its process goes.
// For the child after clone3: faults end it through the Reporter.
#ifndef BERTH_SHIM_INIT_NETWORK_DEVICES_H_
#define BERTH_SHIM_INIT_NETWORK_DEVICES_H_

#include <cstdint>
#include <string>
#include <vector>

#include "shim/init/reporter.h"
#include "shim/spec/launch_plan.h"

namespace berth::init {

class NetworkDevices {
 public:
  // In the namespace that has the devices.
  NetworkDevices(Reporter& report, const spec::LaunchPlan& plan);

  // Moves all of them into the network namespace that the file `path` names, renamed.
  void MoveInto(const char* path);
  // In that namespace: addresses again, and up.
  void Configure();

 private:
  // One permanent address of global scope, as the attributes of RTM_NEWADDR.
  struct Address {
    uint8_t family = 0;
    uint8_t prefix_length = 0;
    std::string attributes;
  };
  struct Device {
    const spec::NetDevice* plan = nullptr;
    int index = 0;
    std::vector<Address> addresses;
  };

  void ReadAddresses(Device& device);

  Reporter& report_;
  std::vector<Device> devices_;
  int socket_ = -1;
};

}  // namespace berth::init

#endif  // BERTH_SHIM_INIT_NETWORK_DEVICES_H_
