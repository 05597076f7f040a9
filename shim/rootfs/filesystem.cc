#include "shim/rootfs/filesystem.h"

#include <errno.h>
#include <stdio.h>

#include <cstring>

#include "shim/rootfs/mount_api.h"

namespace berth::rootfs {
namespace {

constexpr size_t kMaxValue = 255;  // fsconfig's limit, with the NUL

[[noreturn]] void FailMount(init::Reporter& report, const FilesystemRequest& request, int error,
                            int context, const char* option) {
  // The filesystem's own words, "e tmpfs: Bad value for 'size'".
  char words[256] = "";
  if (context >= 0) {
    const ssize_t size = ::read(context, words, sizeof(words) - 1);
    words[size > 0 ? size : 0] = '\0';
    if (size > 0 && words[size - 1] == '\n') words[size - 1] = '\0';
  }
  const char* said = words[0] != '\0' && words[1] == ' ' ? words + 2 : words;
  report.FailFormat(error, "mount %s on \"%s\"%s%s%s: %s (%s)%s%s", request.type,
                    request.target_name, option[0] != '\0' ? ", option \"" : "", option,
                    option[0] != '\0' ? "\"" : "", ::strerrordesc_np(error),
                    ::strerrorname_np(error), said[0] != '\0' ? ": " : "", said);
}

void SetOption(init::Reporter& report, const FilesystemRequest& request, int context,
               const char* option) {
  const char* equals = ::strchr(option, '=');
  int result;
  if (equals == nullptr) {
    result = FsSetFlag(context, option);
  } else {
    char key[128];
    const size_t size = static_cast<size_t>(equals - option);
    if (size >= sizeof(key)) FailMount(report, request, EINVAL, -1, option);
    ::memcpy(key, option, size);
    key[size] = '\0';
    result = FsSetString(context, key, equals + 1);
  }
  if (result != 0) FailMount(report, request, errno, context, option);
}

bool FitsFsconfig(const FilesystemRequest& request) {
  if (::strlen(request.source) > kMaxValue) return false;
  if (request.data == nullptr) return true;
  for (const std::string& option : *request.data) {
    const size_t equals = option.find('=');
    const size_t value = equals == std::string::npos ? option.size() : option.size() - equals - 1;
    if (value > kMaxValue) return false;
  }
  return true;
}

// The old way, for what does not fit: a path that can only mean the descriptor.
int MountByPath(init::Reporter& report, const FilesystemRequest& request, int target) {
  char data[4096];
  size_t size = 0;
  auto append = [&](const char* option) {
    const int written =
        ::snprintf(data + size, sizeof(data) - size, "%s%s", size > 0 ? "," : "", option);
    if (written < 0 || size + static_cast<size_t>(written) >= sizeof(data)) {
      report.FailFormat(E2BIG, "mount %s on \"%s\": the options take more than a page",
                        request.type, request.target_name);
    }
    size += static_cast<size_t>(written);
  };
  data[0] = '\0';
  if (request.first_option != nullptr) append(request.first_option);
  for (const std::string& option : *request.data) append(option.c_str());
  char path[32];
  ::snprintf(path, sizeof(path), "/proc/self/fd/%d", target);
  if (::mount(request.source, path, request.type, 0, data) != 0) {
    FailMount(report, request, errno, -1, "");
  }
  // `target` still means the directory below the mount: look again from the root.
  const int mounted = OpenInside(request.root, request.target_name, O_PATH);
  if (mounted < 0) FailMount(report, request, errno, -1, "");
  Attributes attributes;
  attributes.set = request.attributes;
  if (request.attributes != 0 && SetAttributes(mounted, attributes, Reach::kMount) != 0) {
    FailMount(report, request, errno, -1, "");
  }
  return mounted;
}

}  // namespace

int MountFilesystem(init::Reporter& report, const FilesystemRequest& request, int target) {
  if (!FitsFsconfig(request)) return MountByPath(report, request, target);
  const int context = FsOpen(request.type);
  if (context < 0) {
    const int error = errno;
    if (error == ENODEV) {
      report.FailFormat(error,
                        "mount on \"%s\": this kernel has no filesystem \"%s\" (ENODEV): load "
                        "its module",
                        request.target_name, request.type);
    }
    FailMount(report, request, error, -1, "");
  }
  if (request.source[0] != '\0' && FsSetString(context, "source", request.source) != 0) {
    FailMount(report, request, errno, context, "source");
  }
  if (request.flags != nullptr) {
    for (const std::string& flag : *request.flags) {
      SetOption(report, request, context, flag.c_str());
    }
  }
  if (request.first_option != nullptr) SetOption(report, request, context, request.first_option);
  if (request.data != nullptr) {
    for (const std::string& option : *request.data) {
      SetOption(report, request, context, option.c_str());
    }
  }
  if (request.label != nullptr && FsSetString(context, "context", request.label) != 0) {
    const int error = errno;
    char option[kMaxValue + 16];
    ::snprintf(option, sizeof(option), "context=%s", request.label);
    FailMount(report, request, error, context, option);
  }
  if (FsCreate(context) != 0) FailMount(report, request, errno, context, "");
  const int mount = FsMount(context, static_cast<unsigned>(request.attributes));
  if (mount < 0) FailMount(report, request, errno, context, "");
  ::close(context);
  if (AttachMount(mount, target) != 0) FailMount(report, request, errno, -1, "");
  return mount;
}

}  // namespace berth::rootfs
