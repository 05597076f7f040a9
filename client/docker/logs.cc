// berth logs: what a container wrote, its two streams kept apart.
#include <unistd.h>

#include <memory>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/os/file_io.h"
#include "base/status/status_macros.h"
#include "client/commands/listing.h"
#include "client/docker/docker_verbs.h"
#include "client/options/value_syntax.h"
#include "client/sdk/engine_client.h"
#include "client/sdk/timestamps.h"

namespace berth::client {
namespace {

struct LogsArguments {
  bool follows = false;
  bool has_timestamps = false;
  bool has_details = false;
  std::string tail = "all";
  std::string since;
  std::string until;
  std::vector<std::string> rest;
};

absl::Status SetMoment(absl::string_view option, const std::string& text,
                       google::protobuf::Timestamp& out) {
  BERTH_ASSIGN_OR_RETURN(const absl::Time moment, ParseMoment(text, absl::Now()), _ << option);
  out = ToProto(moment);
  return absl::OkStatus();
}

absl::StatusOr<engine::LogsRequest> MakeRequest(const LogsArguments& arguments) {
  engine::LogsRequest request;
  request.set_container(arguments.rest[0]);
  request.set_stdout(true);
  request.set_stderr(true);
  request.set_follow(arguments.follows);
  if (!arguments.since.empty()) {
    BERTH_RETURN_IF_ERROR(SetMoment("--since", arguments.since, *request.mutable_since()));
  }
  if (!arguments.until.empty()) {
    BERTH_RETURN_IF_ERROR(SetMoment("--until", arguments.until, *request.mutable_until()));
  }
  int64_t tail = 0;
  // As docker: a negative number means all.
  if (arguments.tail != "all") {
    if (!absl::SimpleAtoi(arguments.tail, &tail)) {
      return absl::InvalidArgumentError(absl::StrCat(
          "\"", arguments.tail, "\" is no value for --tail: expected a number of lines or all"));
    }
    if (tail >= 0) request.set_tail(tail);
  }
  return request;
}

// Writes the text gathered for one stream; EPIPE ends the command quietly, as SIGPIPE would.
absl::Status Flush(int fd, std::string& text) {
  if (text.empty()) return absl::OkStatus();
  const absl::Status written = WriteAll(BorrowedFd(fd), text);
  text.clear();
  return written;
}

absl::StatusOr<int> ShowLogs(const Context& context, const LogsArguments& arguments) {
  BERTH_ASSIGN_OR_RETURN(const engine::LogsRequest request, MakeRequest(arguments));
  BERTH_ASSIGN_OR_RETURN(const Connection connection, context.Connect());
  bool output_failed = false;
  const absl::Status shown =
      EngineClient(connection)
          .Logs(request, [&](const engine::LogsResponse& response) -> absl::Status {
            std::string text;
            int fd = STDOUT_FILENO;
            for (const engine::LogEntry& entry : response.entries()) {
              const int next =
                  entry.stream() == engine::STREAM_STDERR ? STDERR_FILENO : STDOUT_FILENO;
              if (next != fd && !Flush(fd, text).ok()) output_failed = true;
              fd = next;
              if (arguments.has_timestamps) {
                absl::StrAppend(&text,
                                absl::FormatTime("%Y-%m-%dT%H:%M:%E9SZ", FromProto(entry.time()),
                                                 absl::UTCTimeZone()),
                                " ");
              }
              text += entry.data();
            }
            if (!Flush(fd, text).ok()) output_failed = true;
            return output_failed ? absl::CancelledError("nobody reads the output")
                                 : absl::OkStatus();
          });
  if (output_failed) return kExitOk;
  BERTH_RETURN_IF_ERROR(shown);
  return kExitOk;
}

}  // namespace

void AddLogs(Command parent, const Context& context) {
  auto arguments = std::make_shared<LogsArguments>();
  parent.Add("logs", "Show what a container wrote")
      .Flag("-f,--follow", arguments->follows, "Go on until it ends")
      .Flag("-t,--timestamps", arguments->has_timestamps, "With the time of each line")
      .Option("-n,--tail N", arguments->tail, "The last N lines only (default: all)")
      .Option("--since MOMENT", arguments->since,
              "Not older than: 2026-01-02T15:04:05Z, or 10m for ten minutes ago")
      .Option("--until MOMENT", arguments->until, "Not younger than")
      .Flag("--details", arguments->has_details, "Accepted for docker's sake; shows nothing more")
      .Rest({"CONTAINER", 1, 1}, arguments->rest)
      .Examples(
          "  berth logs web\n  berth logs -f --tail 10 web\n  berth logs --since 10m -t web\n")
      .Do([&context, arguments] { return ShowLogs(context, *arguments); });
}

}  // namespace berth::client
