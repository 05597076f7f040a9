#include "base/oci/host_devices.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <string>

namespace berth::oci {
namespace {

constexpr std::array<const char*, 4> kOwnDirectories = {"/dev/pts", "/dev/shm", "/dev/mqueue",
                                                        "/dev/fd"};
constexpr std::array<const char*, 8> kOwnDevices = {"/dev/null",    "/dev/zero",    "/dev/full",
                                                    "/dev/random",  "/dev/urandom", "/dev/tty",
                                                    "/dev/console", "/dev/ptmx"};

template <size_t N>
bool Contains(const std::array<const char*, N>& list, const std::string& path) {
  return std::find(list.begin(), list.end(), path) != list.end();
}

}  // namespace

std::vector<HostDevice> ListHostDevices() {
  std::vector<HostDevice> devices;
  std::error_code error;
  for (std::filesystem::recursive_directory_iterator entry("/dev", error), end;
       !error && entry != end; entry.increment(error)) {
    const std::string path = entry->path().string();
    if (Contains(kOwnDirectories, path)) {
      entry.disable_recursion_pending();
      continue;
    }
    struct stat status = {};
    if (::lstat(path.c_str(), &status) != 0) continue;  // gone meanwhile
    const bool is_device = S_ISCHR(status.st_mode) || S_ISBLK(status.st_mode);
    if (!is_device || Contains(kOwnDevices, path)) continue;
    devices.push_back({.path = path,
                       .type = S_ISCHR(status.st_mode) ? 'c' : 'b',
                       .device_major = static_cast<int64_t>(major(status.st_rdev)),
                       .device_minor = static_cast<int64_t>(minor(status.st_rdev)),
                       .mode = status.st_mode & 07777,
                       .uid = status.st_uid,
                       .gid = status.st_gid});
  }
  return devices;
}

}  // namespace berth::oci
