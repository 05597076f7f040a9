#include "client/sdk/server_address.h"

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace berth::client {
namespace {

absl::Status Fault(absl::string_view text, absl::string_view why) {
  return absl::InvalidArgumentError(
      absl::StrCat("\"", text, "\" is no address of a server: ", why,
                   " (expected /PATH/OF/SOCKET, unix://PATH or tcp://HOST:PORT)"));
}

bool IsPort(absl::string_view text) {
  int number = 0;
  return !text.empty() && absl::ascii_isdigit(text[0]) && absl::SimpleAtoi(text, &number) &&
         number > 0 && number <= 65535;
}

}  // namespace

std::string ServerAddress::ToString() const {
  if (!is_tcp()) return path;
  const bool is_ipv6 = absl::StrContains(host, ':');
  return absl::StrCat("tcp://", is_ipv6 ? "[" : "", host, is_ipv6 ? "]" : "",
                      port.empty() ? "" : ":", port);
}

absl::StatusOr<ServerAddress> ParseServerAddress(absl::string_view text) {
  ServerAddress address;
  absl::string_view rest = text;
  if (!absl::ConsumePrefix(&rest, "tcp://")) {
    absl::ConsumePrefix(&rest, "unix://");
    const size_t scheme = rest.find("://");
    if (scheme != absl::string_view::npos) {
      return Fault(text, absl::StrCat("\"", rest.substr(0, scheme), "\" is no way to reach one"));
    }
    if (rest.empty()) return Fault(text, "it is empty");
    const size_t colon = rest.rfind(':');
    if (!absl::StrContains(rest, '/') && colon != absl::string_view::npos &&
        IsPort(rest.substr(colon + 1))) {
      return Fault(text, absl::StrCat("is tcp://", rest, " meant?"));
    }
    address.path = std::string(rest);
    return address;
  }
  rest = absl::StripSuffix(rest, "/");
  if (absl::ConsumePrefix(&rest, "[")) {
    const size_t end = rest.find(']');
    if (end == absl::string_view::npos) return Fault(text, "its ] is missing");
    address.host = std::string(rest.substr(0, end));
    rest = rest.substr(end + 1);
    if (!rest.empty() && rest[0] != ':') return Fault(text, "a port follows the ]");
  } else {
    const size_t colon = rest.find(':');
    if (colon != rest.rfind(':')) return Fault(text, "an IPv6 address stands in brackets");
    address.host = std::string(rest.substr(0, colon));
    rest = colon == absl::string_view::npos ? "" : rest.substr(colon);
  }
  if (address.host.empty()) return Fault(text, "it names no host");
  if (absl::StrContains(address.host, '/')) return Fault(text, "a host has no path");
  if (absl::ConsumePrefix(&rest, ":")) {
    if (!IsPort(rest)) return Fault(text, absl::StrCat("\"", rest, "\" is no port"));
    address.port = std::string(rest);
  }
  return address;
}

}  // namespace berth::client
