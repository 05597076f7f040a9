#include "shim/service/runtime_options.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "proto/containerd/runc/v1/options.pb.h"

namespace berth::service {
namespace {

absl::string_view BaseName(absl::string_view path) {
  const size_t slash = path.rfind('/');
  return slash == absl::string_view::npos ? path : path.substr(slash + 1);
}

}  // namespace

absl::StatusOr<RuntimeOptions> DecodeRuntimeOptions(const google::protobuf::Any& any) {
  RuntimeOptions options;
  const absl::string_view type = BaseName(any.type_url());
  // Other types configure other shims (runtimeoptions.v1.Options names a file of theirs).
  if (type != "containerd.runc.v1.Options") return options;
  containerd::runc::v1::Options message;
  if (!message.ParseFromString(any.value())) {
    return absl::InvalidArgumentError(
        absl::StrCat("malformed runtime options of type ", any.type_url()));
  }
  const absl::string_view binary = BaseName(message.binary_name());
  // runc's base name in whatever directory means this program; another name for the same file does
  // not, so that a client can have runc itself.
  if (!binary.empty() && binary != "runc" && binary != "berth-runtime") {
    options.binary = message.binary_name();
    options.root = message.root();
  }
  if (message.no_pivot_root()) options.pivot = RuntimeOptions::Pivot::kNo;
  if (message.no_new_keyring()) options.new_keyring = RuntimeOptions::NewKeyring::kNo;
  if (message.systemd_cgroup()) options.cgroups = RuntimeOptions::Cgroups::kSystemd;
  options.shim_cgroup = message.shim_cgroup();
  options.io_uid = message.io_uid();
  options.io_gid = message.io_gid();
  return options;
}

}  // namespace berth::service
