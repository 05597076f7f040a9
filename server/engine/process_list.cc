#include "server/engine/process_list.h"

#include <algorithm>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "base/os/spawn.h"
#include "base/status/status_macros.h"

namespace berth::engine {
namespace {

constexpr char kPs[] = "/bin/ps";
constexpr size_t kMaxOutput = 16 << 20;
constexpr absl::Duration kLimit = absl::Seconds(10);

}  // namespace

absl::StatusOr<v1::TopResponse> ParsePs(const std::string& output, const std::set<uint32_t>& pids) {
  v1::TopResponse response;
  size_t pid_column = 0;
  bool has_titles = false;
  for (absl::string_view line : absl::StrSplit(output, '\n', absl::SkipEmpty())) {
    std::vector<absl::string_view> fields = absl::StrSplit(line, ' ', absl::SkipEmpty());
    if (!has_titles) {
      const auto pid = std::find(fields.begin(), fields.end(), "PID");
      if (pid == fields.end()) {
        return absl::InvalidArgumentError("Couldn't find PID field in ps output");
      }
      pid_column = static_cast<size_t>(pid - fields.begin());
      has_titles = true;
      for (absl::string_view title : fields) response.add_titles(std::string(title));
      continue;
    }
    uint32_t pid = 0;
    if (fields.size() <= pid_column || !absl::SimpleAtoi(fields[pid_column], &pid) ||
        !pids.contains(pid)) {
      continue;
    }
    // The last column (the command) holds spaces.
    const size_t columns = static_cast<size_t>(response.titles_size());
    v1::TopResponse::Process& process = *response.add_processes();
    for (size_t i = 0; i < fields.size(); ++i) {
      if (i < columns) {
        process.add_fields(std::string(fields[i]));
      } else {
        absl::StrAppend(process.mutable_fields(static_cast<int>(columns) - 1), " ", fields[i]);
      }
    }
  }
  return response;
}

absl::StatusOr<v1::TopResponse> ListProcesses(const std::vector<std::string>& arguments,
                                              const std::set<uint32_t>& pids) {
  BERTH_ASSIGN_OR_RETURN(Pipe pipe, MakePipe());
  SpawnOptions options;
  options.executable = kPs;
  options.arguments = {"ps"};
  if (arguments.empty()) options.arguments.push_back("-ef");
  options.arguments.insert(options.arguments.end(), arguments.begin(), arguments.end());
  options.environment = {"PATH=/usr/bin:/bin", "LC_ALL=C", "COLUMNS=4096"};
  options.descriptors = {{1, pipe.write.get()}, {2, pipe.write.get()}};
  BERTH_ASSIGN_OR_RETURN(ChildProcess child, Spawn(options), _ << "run ps");
  pipe.write.Reset();
  BERTH_ASSIGN_OR_RETURN(const std::string output, ReadAll(pipe.read, kMaxOutput));
  BERTH_ASSIGN_OR_RETURN(const ExitState exit, child.Wait(kLimit));
  if (exit.ExitCode() != 0) return absl::InvalidArgumentError(absl::StrCat("ps: ", output));
  return ParsePs(output, pids);
}

}  // namespace berth::engine
