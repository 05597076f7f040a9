#include "server/engine/volume_mount.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <cerrno>
#include <memory>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/os/mount_words.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"

namespace berth::engine {
namespace {

// The kernel takes no names: mount.nfs and mount.cifs ask for the address, and so do we.
absl::StatusOr<std::string> AddressOf(const std::string& host) {
  unsigned char bytes[sizeof(in6_addr)];
  if (::inet_pton(AF_INET, host.c_str(), bytes) == 1 ||
      ::inet_pton(AF_INET6, host.c_str(), bytes) == 1) {
    return host;
  }
  addrinfo* found = nullptr;
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  const int code = ::getaddrinfo(host.c_str(), nullptr, &hints, &found);
  if (code != 0) {
    return absl::UnavailableError(absl::StrCat(
        "error resolving passed in network volume address \"", host, "\": ", ::gai_strerror(code)));
  }
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owner(found, ::freeaddrinfo);
  char text[NI_MAXHOST];
  const int named = ::getnameinfo(found->ai_addr, found->ai_addrlen, text, sizeof(text), nullptr, 0,
                                  NI_NUMERICHOST);
  if (named != 0) return absl::InternalError(::gai_strerror(named));
  return std::string(text);
}

absl::StatusOr<std::string> DataOf(const VolumeMount& mount) {
  const bool is_remote = absl::StartsWith(mount.type, "nfs") || mount.type == "cifs";
  if (!is_remote) return mount.data;
  std::vector<std::string> words = absl::StrSplit(mount.data, ',');
  for (std::string& word : words) {
    if (!absl::StartsWith(word, "addr=")) continue;
    BERTH_ASSIGN_OR_RETURN(const std::string address, AddressOf(word.substr(5)));
    word = absl::StrCat("addr=", address);
  }
  return absl::StrJoin(words, ",");
}

}  // namespace

absl::StatusOr<VolumeMount> ParseVolumeOptions(const std::map<std::string, std::string>& options) {
  VolumeMount mount;
  for (const auto& [key, value] : options) {
    if (key == "size") {
      return absl::InvalidArgumentError(
          "quota size requested but no quota support: volumes have no quota here; limit a tmpfs by "
          "\"o=size=...\"");
    }
    if (key != "type" && key != "device" && key != "o") {
      return absl::InvalidArgumentError(
          absl::StrCat("invalid option: \"", key, "\": the driver local has type, device and o"));
    }
  }
  for (const char* key : {"device", "type"}) {
    const auto found = options.find(key);
    if (found == options.end() || found->second.empty()) {
      return absl::InvalidArgumentError(absl::StrCat("missing required option: \"", key, "\""));
    }
  }
  mount.type = options.at("type");
  mount.device = options.at("device");
  std::vector<std::string> data;
  const auto words = options.find("o");
  const std::vector<std::string> list = words == options.end()
                                            ? std::vector<std::string>()
                                            : absl::StrSplit(words->second, ',', absl::SkipEmpty());
  for (const std::string& text : list) {
    bool is_flag = false;
    for (const MountWord& word : kMountWords) {
      if (text != word.name) continue;
      mount.flags = word.Apply(mount.flags);
      is_flag = true;
    }
    if (!is_flag) data.push_back(text);
  }
  mount.data = absl::StrJoin(data, ",");
  if ((mount.flags & MS_BIND) != 0 && !absl::StartsWith(mount.device, "/")) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", mount.device, "\" is no device for a bind: expected an absolute path"));
  }
  return mount;
}

bool IsMountPoint(const std::string& directory) {
  struct statx status = {};
  if (::statx(AT_FDCWD, directory.c_str(), AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, &status) != 0) {
    return false;
  }
  return (status.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
}

absl::Status MountVolume(const VolumeMount& mount, const std::string& directory) {
  if (IsMountPoint(directory)) return absl::OkStatus();
  BERTH_ASSIGN_OR_RETURN(const std::string data, DataOf(mount));
  const unsigned long bind = mount.flags & (MS_BIND | MS_REC);
  const unsigned long first = bind != 0 ? bind : mount.flags;
  const auto failure = [&](int error) {
    return ErrnoStatus(error, absl::StrCat("failed to mount local volume: mount ", mount.device,
                                           " at ", directory, ", type ", mount.type, ", flags ",
                                           absl::Hex(mount.flags), ", data \"", data, "\""));
  };
  if (::mount(mount.device.c_str(), directory.c_str(), mount.type.c_str(), first, data.c_str()) !=
      0) {
    return failure(errno);
  }
  // A bind takes no other flags at first.
  const unsigned long later = mount.flags & ~bind;
  if (bind != 0 && later != 0 &&
      ::mount(nullptr, directory.c_str(), nullptr, MS_REMOUNT | MS_BIND | later, nullptr) != 0) {
    const int error = errno;
    UnmountVolume(directory).IgnoreError();  // the first error counts
    return failure(error);
  }
  return absl::OkStatus();
}

absl::Status UnmountVolume(const std::string& directory) {
  while (IsMountPoint(directory)) {
    if (::umount2(directory.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) != 0) {
      return ErrnoStatus(errno, absl::StrCat("unmount the volume at ", directory));
    }
  }
  return absl::OkStatus();
}

}  // namespace berth::engine
