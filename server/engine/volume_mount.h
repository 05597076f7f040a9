// The options of the volume driver "local": a filesystem, or a directory of this machine, that is
// mounted at a volume's place while containers that use it run. They are Docker's: type, device, o.
//
// Functions over the kernel's table of mounts; thread-safe, but two about one directory must not
// run at a time (Volumes sees to it). They block as long as the filesystem does.
#ifndef BERTH_SERVER_ENGINE_VOLUME_MOUNT_H_
#define BERTH_SERVER_ENGINE_VOLUME_MOUNT_H_

#include <map>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace berth::engine {

struct VolumeMount {
  std::string type;  // "none" with a bind
  std::string device;
  unsigned long flags = 0;  // MS_*
  std::string data;         // what the filesystem itself reads
};

// Errors: INVALID_ARGUMENT for an unknown option, and for one that is missing.
absl::StatusOr<VolumeMount> ParseVolumeOptions(const std::map<std::string, std::string>& options);

// Whether something is mounted at `directory`.
bool IsMountPoint(const std::string& directory);
// Nothing when something is mounted there already. Errors: what mount(2) says, with the device.
absl::Status MountVolume(const VolumeMount& mount, const std::string& directory);
// Nothing when nothing is mounted there. Who still has a file of it open keeps it until then.
absl::Status UnmountVolume(const std::string& directory);

}  // namespace berth::engine

#endif  // BERTH_SERVER_ENGINE_VOLUME_MOUNT_H_
