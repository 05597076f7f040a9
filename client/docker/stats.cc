// berth stats: what containers use, as a table that renews itself.
#include <unistd.h>

#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "base/status/status_macros.h"
#include "client/attach/terminal.h"
#include "client/commands/listing.h"
#include "client/docker/docker_verbs.h"
#include "client/format/human.h"
#include "client/format/row_view.h"
#include "client/sdk/engine_client.h"

namespace berth::client {
namespace {

struct StatsArguments {
  bool is_all = false;
  bool is_once = false;
  bool is_untruncated = false;
  std::string format;
  std::vector<std::string> rest;
};

RowKind StatsRows() {
  RowKind kind;
  kind.table =
      "{{.ID}}\t{{.Name}}\t{{.CPUPerc}}\t{{.MemUsage}}\t{{.MemPerc}}\t{{.NetIO}}\t{{.BlockIO}}\t"
      "{{.PIDs}}";
  kind.headings = {{"ID", "CONTAINER ID"},  {"Container", "CONTAINER"},
                   {"CPUPerc", "CPU %"},    {"MemUsage", "MEM USAGE / LIMIT"},
                   {"MemPerc", "MEM %"},    {"NetIO", "NET I/O"},
                   {"BlockIO", "BLOCK I/O"}};
  return kind;
}

std::string Pair(uint64_t first, uint64_t second) {
  return absl::StrCat(DecimalSize(static_cast<double>(first)), " / ",
                      DecimalSize(static_cast<double>(second)));
}

Json RowOf(const engine::ContainerStats& stats, const StatsArguments& arguments) {
  const std::string id = arguments.is_untruncated ? stats.id() : stats.id().substr(0, 12);
  return {
      {"BlockIO", Pair(stats.block_read_bytes(), stats.block_written_bytes())},
      {"CPUPerc", absl::StrFormat("%.2f%%", stats.cpu_percent())},
      {"Container", id},
      {"ID", id},
      {"MemPerc", absl::StrFormat("%.2f%%", stats.memory_percent())},
      {"MemUsage", absl::StrCat(BinarySize(static_cast<double>(stats.memory_usage_bytes())), " / ",
                                BinarySize(static_cast<double>(stats.memory_limit_bytes())))},
      {"Name", stats.name()},
      {"NetIO", Pair(stats.network_received_bytes(), stats.network_sent_bytes())},
      {"PIDs", absl::StrCat(stats.pids())}};
}

// Over the last table, line by line: a screen that is cleared first flickers.
std::string OverTheLast(absl::string_view text) {
  return absl::StrCat("\x1b[H", absl::StrReplaceAll(text, {{"\n", "\x1b[K\n"}}), "\x1b[J");
}

absl::StatusOr<int> ShowStats(const Context& context, const StatsArguments& arguments) {
  BERTH_ASSIGN_OR_RETURN(const RowView view, RowView::Parse(arguments.format, StatsRows()));
  engine::StatsRequest request;
  for (const std::string& word : arguments.rest) request.add_containers(word);
  request.set_all(arguments.is_all);
  request.set_once(arguments.is_once);
  BERTH_ASSIGN_OR_RETURN(const Connection connection, context.Connect());
  const bool is_live =
      !arguments.is_once && view.is_table() && IsTerminal(BorrowedFd(STDOUT_FILENO));
  if (is_live) PrintText("\x1b[2J");
  BERTH_RETURN_IF_ERROR(
      EngineClient(connection)
          .Stats(request, [&](const engine::StatsResponse& response) -> absl::Status {
            std::vector<Json> rows;
            for (const engine::ContainerStats& stats : response.containers()) {
              rows.push_back(RowOf(stats, arguments));
            }
            BERTH_ASSIGN_OR_RETURN(const std::string text, view.Render(rows));
            PrintText(is_live ? OverTheLast(text) : text);
            return absl::OkStatus();
          }));
  return kExitOk;
}

}  // namespace

void AddStats(Command parent, const Context& context) {
  auto arguments = std::make_shared<StatsArguments>();
  parent.Add("stats", "Show what containers use, about every second")
      .Flag("-a,--all", arguments->is_all, "Also those that do not run")
      .Flag("--no-stream", arguments->is_once, "Once")
      .Flag("--no-trunc", arguments->is_untruncated, "Whole ids")
      .Option("--format FORMAT", arguments->format, "table, json, or a Go template")
      .Rest({"[CONTAINER...]", 0, -1}, arguments->rest)
      .Examples(
          "  berth stats\n"
          "  berth stats --no-stream --format '{{.Name}} {{.CPUPerc}}' web\n")
      .Do([&context, arguments] { return ShowStats(context, *arguments); });
}

}  // namespace berth::client
