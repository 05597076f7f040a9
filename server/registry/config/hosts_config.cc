#include "server/registry/config/hosts_config.h"

#include <errno.h>
#include <fcntl.h>
#include <re2/re2.h>
#include <toml++/toml.h>

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"

namespace berth::registry {
namespace {

using worker::v1::ClientCertificate;
using worker::v1::Host;

constexpr char kHubName[] = "docker.io";
constexpr char kHubHost[] = "registry-1.docker.io";
constexpr size_t kMaxFileBytes = 4u << 20;
constexpr char kKnownKeys[] =
    "known are server, capabilities, ca, client, skip_verify, header, override_path, rewrite, "
    "dial_timeout and [host.\"URL\"]";

absl::Status Wrong(const toml::node& node, absl::string_view key, absl::string_view expected) {
  return absl::InvalidArgumentError(
      absl::StrCat("line ", node.source().begin.line, ": ", key, " must be ", expected));
}

absl::StatusOr<std::vector<std::string>> StringsOf(const toml::node& node, absl::string_view key) {
  std::vector<std::string> strings;
  if (const auto one = node.value_exact<std::string>()) return std::vector<std::string>{*one};
  const toml::array* const array = node.as_array();
  if (array == nullptr) return Wrong(node, key, "a string or a list of strings");
  for (const toml::node& element : *array) {
    const auto text = element.value_exact<std::string>();
    if (!text) return Wrong(element, key, "a list of strings");
    strings.push_back(*text);
  }
  return strings;
}

absl::Status SetCapabilities(const toml::node& node, Host& host) {
  BERTH_ASSIGN_OR_RETURN(const std::vector<std::string> names, StringsOf(node, "capabilities"));
  if (names.empty()) return absl::OkStatus();  // none said: all
  host.set_can_pull(false);
  host.set_can_resolve(false);
  host.set_can_push(false);
  host.set_can_refer(false);
  for (const std::string& text : names) {
    const std::string name = absl::AsciiStrToLower(text);
    if (name == "pull") {
      host.set_can_pull(true);
    } else if (name == "resolve") {
      host.set_can_resolve(true);
    } else if (name == "push") {
      host.set_can_push(true);
    } else if (name == "referrers") {
      host.set_can_refer(true);
    } else {
      return Wrong(node, absl::StrCat("capability \"", text, "\""),
                   "pull, resolve, push or referrers");
    }
  }
  return absl::OkStatus();
}

absl::Status SetAuthorities(const toml::node& node, FileReader read, Host& host) {
  BERTH_ASSIGN_OR_RETURN(const std::vector<std::string> files, StringsOf(node, "ca"));
  for (const std::string& file : files) {
    BERTH_ASSIGN_OR_RETURN(const std::string pem, read(file), _ << "ca");
    absl::StrAppend(host.mutable_tls()->mutable_authorities(), pem, "\n");
  }
  return absl::OkStatus();
}

absl::Status AddClient(const std::vector<std::string>& pair, FileReader read, Host& host) {
  BERTH_ASSIGN_OR_RETURN(std::string certificate, read(pair[0]), _ << "client");
  ClientCertificate& client = *host.mutable_tls()->add_client_certificates();
  client.set_certificate(std::move(certificate));
  if (pair.size() < 2 || pair[1].empty()) return absl::OkStatus();
  BERTH_ASSIGN_OR_RETURN(std::string key, read(pair[1]), _ << "client");
  client.set_key(std::move(key));
  return absl::OkStatus();
}

// "file", ["file", ...] or [["certificate", "key"], ...].
absl::Status SetClients(const toml::node& node, FileReader read, Host& host) {
  if (const auto one = node.value_exact<std::string>()) return AddClient({*one}, read, host);
  const toml::array* const array = node.as_array();
  if (array == nullptr) return Wrong(node, "client", "a file, or a list of files or pairs");
  for (const toml::node& element : *array) {
    BERTH_ASSIGN_OR_RETURN(const std::vector<std::string> files, StringsOf(element, "client"));
    const bool is_pair = element.is_array();
    if (files.size() != (is_pair ? 2 : 1)) {
      return Wrong(element, "client", "a pair of certificate and key");
    }
    BERTH_RETURN_IF_ERROR(AddClient(files, read, host));
  }
  return absl::OkStatus();
}

// What else HTTP allows in a name, nobody uses; what it does not allow would be a line of its own.
bool IsHeaderName(absl::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_';
  });
}

absl::Status SetHeaders(const toml::node& node, Host& host) {
  const toml::table* const table = node.as_table();
  if (table == nullptr) return Wrong(node, "header", "a table");
  for (const auto& [name, value] : *table) {
    worker::v1::Header header;
    header.set_name(std::string(name.str()));
    if (!IsHeaderName(header.name())) {
      return Wrong(value, absl::StrCat("the header name \"", absl::CEscape(header.name()), "\""),
                   "of letters, digits and hyphens");
    }
    BERTH_ASSIGN_OR_RETURN(const std::vector<std::string> values, StringsOf(value, "header"));
    for (const std::string& text : values) {
      // A line break would begin a header that nobody configured.
      if (text.find_first_of("\r\n") != std::string::npos) {
        return Wrong(value, "header", "without line breaks");
      }
      header.add_values(text);
    }
    *host.add_headers() = std::move(header);
  }
  return absl::OkStatus();
}

template <typename Map>
std::vector<std::pair<std::string, const toml::node*>> InFileOrder(const Map& table) {
  std::vector<std::pair<std::string, const toml::node*>> entries;
  for (const auto& [name, value] : table) entries.emplace_back(std::string(name.str()), &value);
  std::stable_sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) {
    const toml::source_position& left = a.second->source().begin;
    const toml::source_position& right = b.second->source().begin;
    return left.line != right.line ? left.line < right.line : left.column < right.column;
  });
  return entries;
}

absl::Status SetRewrites(const toml::node& node, Host& host) {
  const toml::table* const table = node.as_table();
  if (table == nullptr) return Wrong(node, "rewrite", "a table of patterns and replacements");
  for (const auto& [pattern, value] : InFileOrder(*table)) {
    const auto replacement = value->value_exact<std::string>();
    if (!replacement) return Wrong(*value, "rewrite", "a table of patterns and replacements");
    const RE2 compiled(pattern, RE2::Quiet);
    if (!compiled.ok()) {
      return Wrong(*value, absl::StrCat("rewrite \"", pattern, "\""), compiled.error());
    }
    worker::v1::Rewrite& rewrite = *host.add_rewrites();
    rewrite.set_pattern(pattern);
    rewrite.set_replacement(*replacement);
  }
  return absl::OkStatus();
}

absl::Status SetDialTimeout(const toml::node& node, Host& host) {
  const auto text = node.value_exact<std::string>();
  absl::Duration timeout;
  if (!text || !absl::ParseDuration(*text, &timeout) || timeout <= absl::ZeroDuration()) {
    return Wrong(node, "dial_timeout", "a duration such as \"10s\"");
  }
  host.set_dial_timeout_seconds(absl::ToDoubleSeconds(timeout));
  return absl::OkStatus();
}

enum class Override { kNo, kYes };

absl::Status SetUrl(absl::string_view text, absl::string_view registry, Override override,
                    Host& host) {
  absl::string_view rest = text;
  if (absl::ConsumePrefix(&rest, "https://")) {
    host.set_scheme("https");
  } else if (absl::ConsumePrefix(&rest, "http://")) {
    host.set_scheme("http");
  } else if (absl::StrContains(rest, "://")) {
    return absl::InvalidArgumentError(absl::StrCat("\"", text, "\" is no http or https URL"));
  } else {
    host.set_scheme("https");
  }
  const size_t slash = rest.find('/');
  host.set_host(std::string(rest.substr(0, slash)));
  if (host.host().empty() || host.host().find_first_of("@?# ") != std::string::npos) {
    return absl::InvalidArgumentError(absl::StrCat("\"", text, "\" names no host"));
  }
  std::string path(slash == rest.npos ? absl::string_view() : rest.substr(slash));
  while (absl::EndsWith(path, "/")) path.pop_back();
  if (override == Override::kNo && !absl::EndsWith(path, "/v2")) path += "/v2";
  // The worker takes an empty path for the usual one.
  host.set_path(path.empty() ? "/" : path);
  const bool is_hub = registry == kHubName && host.host() == kHubHost;
  host.set_is_mirror(host.host() != registry && !is_hub);
  return absl::OkStatus();
}

Host AllowedHost() {
  Host host;
  host.set_can_pull(true);
  host.set_can_resolve(true);
  host.set_can_push(true);
  host.set_can_refer(true);
  return host;
}

// What stands in a [host] table, or at the top level for the server.
absl::Status Apply(const toml::table& table, FileReader read, Host& host) {
  for (const auto& [name, node] : table) {
    const absl::string_view key(name.str().data(), name.str().size());
    absl::Status status;
    if (key == "capabilities") {
      status = SetCapabilities(node, host);
    } else if (key == "ca") {
      status = SetAuthorities(node, read, host);
    } else if (key == "client") {
      status = SetClients(node, read, host);
    } else if (key == "header") {
      status = SetHeaders(node, host);
    } else if (key == "rewrite") {
      status = SetRewrites(node, host);
    } else if (key == "dial_timeout") {
      status = SetDialTimeout(node, host);
    } else if (key == "skip_verify") {
      const auto value = node.value_exact<bool>();
      if (!value) return Wrong(node, key, "true or false");
      host.mutable_tls()->set_skip_verify(*value);
    } else if (key == "override_path") {
      if (!node.is_boolean()) return Wrong(node, key, "true or false");
    } else if (key != "server" && key != "host") {
      return absl::InvalidArgumentError(absl::StrCat("line ", node.source().begin.line,
                                                     ": unknown key \"", key, "\"; ", kKnownKeys));
    }
    BERTH_RETURN_IF_ERROR(status);
  }
  return absl::OkStatus();
}

Override OverrideOf(const toml::table& table) {
  const toml::node* const node = table.get("override_path");
  return node != nullptr && node->value_exact<bool>().value_or(false) ? Override::kYes
                                                                      : Override::kNo;
}

// containerd's names of directories: "host_port_" where a colon is not wanted in a name.
std::vector<std::string> DirectoriesFor(absl::string_view root, absl::string_view registry) {
  std::vector<std::string> names;
  const size_t colon = registry.rfind(':');
  if (colon != registry.npos && !absl::EndsWith(registry, "]")) {
    names.push_back(absl::StrCat(registry.substr(0, colon), "_", registry.substr(colon + 1), "_"));
  }
  names.emplace_back(registry);
  names.emplace_back("_default");
  for (std::string& name : names) name = absl::StrCat(root, "/", name);
  return names;
}

absl::StatusOr<Hosts> LoadCertificates(const std::string& directory,
                                       const std::vector<std::string>& names,
                                       absl::string_view registry, FileReader read) {
  Hosts hosts = DefaultHosts(registry);
  Host& host = hosts.front();
  for (const std::string& name : names) {
    if (absl::EndsWith(name, ".crt")) {
      BERTH_ASSIGN_OR_RETURN(const std::string pem, read(name), _ << directory);
      absl::StrAppend(host.mutable_tls()->mutable_authorities(), pem, "\n");
    } else if (absl::EndsWith(name, ".cert")) {
      const std::string key = absl::StrCat(absl::StripSuffix(name, ".cert"), ".key");
      const bool has_key = std::find(names.begin(), names.end(), key) != names.end();
      BERTH_RETURN_IF_ERROR(AddClient({name, has_key ? key : ""}, read, host)) << directory;
    }
  }
  return hosts;
}

absl::StatusOr<Hosts> HostsOf(const toml::table& root, absl::string_view registry,
                              FileReader read) {
  Hosts hosts;
  if (const toml::node* const node = root.get("host"); node != nullptr) {
    const toml::table* const tables = node->as_table();
    if (tables == nullptr) return Wrong(*node, "host", "a table for each host: [host.\"URL\"]");
    for (const auto& [url, value] : InFileOrder(*tables)) {
      const toml::table* const table = value->as_table();
      if (table == nullptr) return Wrong(*value, absl::StrCat("host.\"", url, "\""), "a table");
      Host host = AllowedHost();
      BERTH_RETURN_IF_ERROR(SetUrl(url, registry, OverrideOf(*table), host));
      BERTH_RETURN_IF_ERROR(Apply(*table, read, host)) << "host \"" << url << "\"";
      hosts.push_back(std::move(host));
    }
  }
  Host server = std::move(DefaultHosts(registry).front());
  if (const toml::node* const node = root.get("server"); node != nullptr) {
    const auto url = node->value_exact<std::string>();
    if (!url) return Wrong(*node, "server", "a URL");
    if (!url->empty()) {
      BERTH_RETURN_IF_ERROR(SetUrl(*url, registry, OverrideOf(root), server)) << "server";
    }
  }
  BERTH_RETURN_IF_ERROR(Apply(root, read, server));
  hosts.push_back(std::move(server));
  return hosts;
}

}  // namespace

Hosts DefaultHosts(absl::string_view registry) {
  Host host = AllowedHost();
  // No scheme: https, and http only where a loopback host has no TLS.
  host.set_host(registry == kHubName ? std::string(kHubHost) : std::string(registry));
  return {std::move(host)};
}

absl::StatusOr<Hosts> ParseHostsToml(absl::string_view text, absl::string_view registry,
                                     FileReader read) {
  try {
    return HostsOf(toml::parse(std::string(text)), registry, read);
  } catch (const toml::parse_error& error) {  // the library's only way to say it
    return absl::InvalidArgumentError(
        absl::StrCat("line ", error.source().begin.line, ": ",
                     absl::string_view(error.description().data(), error.description().size())));
  }
}

absl::StatusOr<Hosts> LoadHosts(absl::Span<const std::string> directories,
                                absl::string_view registry) {
  for (const std::string& root : directories) {
    for (const std::string& path : DirectoriesFor(root, registry)) {
      const absl::StatusOr<UniqueFd> directory = OpenFile(path, O_RDONLY | O_DIRECTORY);
      const int error = ErrnoOf(directory.status());
      if (!directory.ok() && (error == ENOENT || error == ENOTDIR)) continue;
      BERTH_RETURN_IF_ERROR(directory.status()) << "settings of " << std::string(registry);
      const auto read = [&](const std::string& name) -> absl::StatusOr<std::string> {
        return ReadFileAt(*directory, name, kMaxFileBytes);  // an absolute name stays absolute
      };
      BERTH_ASSIGN_OR_RETURN(std::vector<std::string> names, ListDirectory(*directory));
      std::sort(names.begin(), names.end());
      if (std::find(names.begin(), names.end(), "hosts.toml") == names.end()) {
        return LoadCertificates(path, names, registry, read);
      }
      BERTH_ASSIGN_OR_RETURN(const std::string text, read("hosts.toml"), _ << path);
      BERTH_ASSIGN_OR_RETURN(Hosts hosts, ParseHostsToml(text, registry, read),
                             _ << path << "/hosts.toml");
      return hosts;
    }
  }
  return DefaultHosts(registry);
}

}  // namespace berth::registry
