#include "server/engine/network_files.h"

#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace berth::engine {
namespace {

constexpr char kLocalHosts[] =
    "127.0.0.1\tlocalhost\n"
    "::1\tlocalhost ip6-localhost ip6-loopback\n"
    "fe00::\tip6-localnet\n"
    "ff00::\tip6-mcastprefix\n"
    "ff02::1\tip6-allnodes\n"
    "ff02::2\tip6-allrouters\n";

bool IsKeyword(absl::string_view line, absl::string_view word) {
  return absl::StartsWith(line, word) && line.size() > word.size() &&
         (line[word.size()] == ' ' || line[word.size()] == '\t');
}

}  // namespace

absl::StatusOr<std::string> MakeHosts(const v1::HostConfig& host, absl::string_view hostname,
                                      absl::string_view host_text) {
  const bool shares_host = host.network_mode() == "host";
  std::string text(shares_host && !host_text.empty() ? host_text : kLocalHosts);
  if (!absl::EndsWith(text, "\n")) text += '\n';
  if (!shares_host && !hostname.empty()) absl::StrAppend(&text, "127.0.0.1\t", hostname, "\n");
  for (const std::string& entry : host.extra_hosts()) {
    // "name:address" or "name=address"; an IPv6 address holds colons.
    const size_t at = entry.find_first_of(":=");
    if (at == std::string::npos || at == 0 || at + 1 == entry.size()) {
      return absl::InvalidArgumentError(absl::StrCat("bad format for add-host: \"", entry, "\""));
    }
    std::string address = entry.substr(at + 1);
    if (address.front() == '[' && address.back() == ']') {
      address = address.substr(1, address.size() - 2);
    }
    if (address == "host-gateway") {
      if (!shares_host) {
        return absl::UnimplementedError(
            "--add-host with host-gateway needs a network with a gateway; this release has none");
      }
      address = "127.0.0.1";
    }
    absl::StrAppend(&text, address, "\t", entry.substr(0, at), "\n");
  }
  return text;
}

std::string MakeResolvConf(const v1::HostConfig& host, absl::string_view host_text) {
  std::string text;
  for (absl::string_view line : absl::StrSplit(host_text, '\n', absl::SkipEmpty())) {
    const bool replaced = (IsKeyword(line, "nameserver") && !host.dns().empty()) ||
                          (IsKeyword(line, "search") && !host.dns_search().empty()) ||
                          (IsKeyword(line, "options") && !host.dns_options().empty());
    if (!replaced) absl::StrAppend(&text, line, "\n");
  }
  for (const std::string& server : host.dns()) absl::StrAppend(&text, "nameserver ", server, "\n");
  // "." alone means none.
  if (!host.dns_search().empty() && host.dns_search(0) != ".") {
    absl::StrAppend(&text, "search ", absl::StrJoin(host.dns_search(), " "), "\n");
  }
  if (!host.dns_options().empty()) {
    absl::StrAppend(&text, "options ", absl::StrJoin(host.dns_options(), " "), "\n");
  }
  return text;
}

}  // namespace berth::engine
