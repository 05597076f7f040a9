#include "client/docker/stop_hint.h"

#include <csignal>
#include <cstdio>
#include <cstring>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/os/file_io.h"
#include "client/sdk/json_access.h"
#include "client/sdk/quantities.h"

namespace berth::client {
namespace {

constexpr int kDefaultGraceSeconds = 10;
constexpr int kShortGraceSeconds = 2;  // not worth a word

}  // namespace

bool WillIgnore(absl::string_view status, int signal) {
  bool is_init = false;
  uint64_t caught = ~uint64_t{0};
  for (absl::string_view line : absl::StrSplit(status, '\n')) {
    if (absl::ConsumePrefix(&line, "NSpid:")) {
      is_init = absl::EndsWith(line, "\t1");
    } else if (absl::ConsumePrefix(&line, "SigCgt:")) {
      if (!absl::SimpleHexAtoi(absl::StripAsciiWhitespace(line), &caught)) return false;
    }
  }
  return is_init && signal != SIGKILL && signal != SIGSTOP && (caught >> (signal - 1) & 1) == 0;
}

void ExplainStop(const EngineClient& client, const std::string& container,
                 const std::string& signal, std::optional<int> timeout_seconds) {
  engine::InspectContainerRequest request;
  request.set_container(container);
  const absl::StatusOr<engine::InspectContainerResponse> response = client.Inspect(request);
  if (!response.ok()) return;  // the stop itself will tell
  const absl::StatusOr<Json> document = ParseJson(response->json());
  if (!document.ok()) return;
  const Json* state = Find(*document, "State");
  const Json* config = Find(*document, "Config");
  if (state == nullptr || config == nullptr) return;
  int grace_seconds = kDefaultGraceSeconds;
  if (Find(*config, "StopTimeout") != nullptr) {
    grace_seconds = static_cast<int>(IntegerAt(*config, "StopTimeout"));
  }
  if (timeout_seconds.has_value()) grace_seconds = *timeout_seconds;
  std::string wanted = signal.empty() ? StringAt(*config, "StopSignal") : signal;
  if (wanted.empty()) wanted = "TERM";
  const absl::StatusOr<int> number = ParseSignal(wanted);
  const int64_t pid = IntegerAt(*state, "Pid");
  if (!number.ok() || pid <= 0 || (grace_seconds >= 0 && grace_seconds < kShortGraceSeconds)) {
    return;
  }
  const absl::StatusOr<std::string> status = ReadFile(absl::StrCat("/proc/", pid, "/status"));
  if (!status.ok() || !WillIgnore(*status, *number)) return;  // perhaps on another host
  const char* name = ::sigabbrev_np(*number);
  const std::string fate = grace_seconds < 0 ? "it will not end by itself"
                                             : absl::StrCat("it will be killed after ",
                                                            grace_seconds, " s (-t shortens that)");
  std::fprintf(stderr, "berth stop: the program of %s has no handler for SIG%s; %s\n",
               container.c_str(), name != nullptr ? name : "?", fate.c_str());
}

}  // namespace berth::client
