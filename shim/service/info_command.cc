#include "shim/service/info_command.h"

#include <unistd.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "base/os/file_io.h"
#include "base/status/status_macros.h"
#include "google/protobuf/any.pb.h"
#include "proto/containerd/types/introspection.pb.h"
#include "shim/service/runtime_options.h"
#include "shim/service/version.h"

namespace berth::service {
namespace {

constexpr size_t kInputLimitBytes = 4u << 20;

}  // namespace

absl::Status PrintVersion() {
  return WriteAll(BorrowedFd(STDOUT_FILENO),
                  absl::StrCat("berth-shim:\n  Version:  ", kVersion, "\n"));
}

absl::Status PrintInfo() {
  BERTH_ASSIGN_OR_RETURN(const std::string input,
                         ReadAll(BorrowedFd(STDIN_FILENO), kInputLimitBytes), _ << "stdin");
  containerd::types::RuntimeInfo info;
  info.set_name("io.containerd.berth.v1");
  info.mutable_version()->set_version(kVersion);
  if (!input.empty()) {
    google::protobuf::Any options;
    if (!options.ParseFromString(input)) {
      return absl::InvalidArgumentError("stdin holds no google.protobuf.Any with runtime options");
    }
    BERTH_RETURN_IF_ERROR(DecodeRuntimeOptions(options).status());
    *info.mutable_options() = options;
  }
  return WriteAll(BorrowedFd(STDOUT_FILENO), info.SerializeAsString());
}

}  // namespace berth::service
