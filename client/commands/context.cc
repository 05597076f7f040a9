#include "client/commands/context.h"

#include <cstdio>
#include <cstdlib>
#include <optional>

#include "absl/strings/str_cat.h"
#include "base/status/status_macros.h"
#include "client/sdk/server_address.h"

namespace berth::client {
namespace {

std::string Environment(const char* name) {
  const char* value = ::getenv(name);
  return value == nullptr ? "" : value;
}

// The option, else the variable, else the file in `directory`.
std::string Choose(const std::string& option, const char* variable, const std::string& directory,
                   absl::string_view file) {
  if (!option.empty()) return option;
  if (std::string value = Environment(variable); !value.empty()) return value;
  return directory.empty() ? "" : absl::StrCat(directory, "/", file);
}

bool IsAnyGiven(const TlsFiles& files) {
  return !files.authority.empty() || !files.certificate.empty() || !files.key.empty() ||
         !files.server_name.empty();
}

std::optional<TlsFiles> ChooseTls(const GlobalOptions& options) {
  const std::string directory = Environment("BERTH_CERT_PATH");
  TlsFiles files;
  files.authority = Choose(options.tls.authority, "BERTH_TLS_CACERT", directory, "ca.pem");
  files.certificate = Choose(options.tls.certificate, "BERTH_TLS_CERT", directory, "cert.pem");
  files.key = Choose(options.tls.key, "BERTH_TLS_KEY", directory, "key.pem");
  files.server_name = Choose(options.tls.server_name, "BERTH_TLS_NAME", "", "");
  if (!options.is_tls_wanted && !IsAnyGiven(files)) return std::nullopt;
  return files;
}

}  // namespace

absl::StatusOr<Connection> Context::Connect() const {
  ConnectionOptions options = {.address = options_.address, .ns = options_.ns};
  BERTH_ASSIGN_OR_RETURN(const ServerAddress address, ParseServerAddress(options_.address));
  if (address.is_tcp()) {
    options.tls = ChooseTls(options_);
  } else if (options_.is_tls_wanted || IsAnyGiven(options_.tls)) {
    return absl::FailedPreconditionError(
        absl::StrCat("TLS is for TCP, and \"", options_.address,
                     "\" is a unix socket: name the server with --address tcp://HOST:PORT, or "
                     "leave the TLS options away"));
  }
  options.warn = [](absl::string_view text) {
    std::fprintf(stderr, "berth: warning: %s\n", std::string(text).c_str());
  };
  return Connection::Open(options);
}

}  // namespace berth::client
