// Settings of registries (hosts.toml): whatever is accepted names hosts that can be asked, in the
// clear or by TLS, with headers that are single lines and patterns that compile.
#include <re2/re2.h>

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "base/status/check.h"
#include "server/registry/config/hosts_config.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  const auto read = [](const std::string& path) -> absl::StatusOr<std::string> {
    if (path.empty()) return absl::NotFoundError("no name");
    return std::string("-----BEGIN CERTIFICATE-----\n");
  };
  const auto hosts = berth::registry::ParseHostsToml(text, "registry.example:5000", read);
  if (!hosts.ok()) {
    BERTH_CHECK(!hosts.status().message().empty());
    return 0;
  }
  BERTH_CHECK(!hosts->empty());
  for (const auto& host : *hosts) {
    BERTH_CHECK(!host.host().empty());
    BERTH_CHECK(host.scheme().empty() || host.scheme() == "http" || host.scheme() == "https");
    BERTH_CHECK(host.host().find_first_of("/ @?#") == std::string::npos);
    for (const auto& header : host.headers()) {
      BERTH_CHECK(header.name().find_first_of("\r\n: ") == std::string::npos);
      for (const std::string& value : header.values()) {
        BERTH_CHECK(value.find_first_of("\r\n") == std::string::npos);
      }
    }
    for (const auto& rewrite : host.rewrites()) {
      BERTH_CHECK(RE2(rewrite.pattern(), RE2::Quiet).ok());
    }
  }
  return 0;
}
