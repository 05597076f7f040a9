#include "tests/fault/host_footprint.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <system_error>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/os/file_io.h"

namespace berth::fault {
namespace {

namespace fs = std::filesystem;

struct Process {
  pid_t parent = 0;
  std::string name;
};

std::map<pid_t, Process> AllProcesses() {
  std::map<pid_t, Process> all;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator("/proc", error)) {
    int pid = 0;
    if (!absl::SimpleAtoi(entry.path().filename().string(), &pid)) continue;
    const auto stat = ReadFile(absl::StrCat(entry.path().string(), "/stat"));
    if (!stat.ok()) continue;  // gone meanwhile
    const size_t open = stat->find('('), close = stat->rfind(')');
    if (open == std::string::npos || close == std::string::npos) continue;
    const std::vector<absl::string_view> rest =
        absl::StrSplit(absl::string_view(*stat).substr(close + 2), ' ');
    int parent = 0;
    if (rest.size() < 2 || !absl::SimpleAtoi(rest[1], &parent)) continue;
    all[pid] = {parent, stat->substr(open + 1, close - open - 1)};
  }
  return all;
}

// Orphans come to this process, which is their subreaper: none can hide.
void AddProcesses(pid_t daemon, std::set<std::string>& found) {
  const std::map<pid_t, Process> all = AllProcesses();
  for (const auto& [pid, process] : all) {
    if (pid == daemon) continue;
    // It stays ten seconds after its last job, but never without its daemon.
    if (process.name == "berth-worker" && process.parent == daemon) continue;
    pid_t at = process.parent;
    while (at > 1 && at != ::getpid()) {
      const auto parent = all.find(at);
      at = parent == all.end() ? 0 : parent->second.parent;
    }
    if (at != ::getpid()) continue;
    auto line = ReadFile(absl::StrCat("/proc/", pid, "/cmdline"));
    const auto waits = ReadFile(absl::StrCat("/proc/", pid, "/wchan"));
    if (line.ok()) std::replace(line->begin(), line->end(), '\0', ' ');
    found.insert(absl::StrCat("process ", process.name, ": ", line.value_or(""), "in ",
                              waits.value_or("?")));
  }
}

void AddMounts(const Place& place, std::set<std::string>& found) {
  const auto table = ReadFile("/proc/self/mountinfo");
  if (!table.ok()) return;
  for (absl::string_view line : absl::StrSplit(*table, '\n')) {
    if (absl::StrContains(line, place.directory)) found.insert(absl::StrCat("mount ", line));
  }
}

void AddGroups(const Place& place, std::set<std::string>& found) {
  std::error_code error;
  std::vector<fs::path> tops = {"/sys/fs/cgroup"};
  for (const auto& entry : fs::directory_iterator("/sys/fs/cgroup", error)) {
    if (entry.is_directory(error)) tops.push_back(entry.path());
  }
  for (const fs::path& top : tops) {
    for (const auto& entry : fs::directory_iterator(top / place.ns, error)) {
      if (entry.is_directory(error)) found.insert("cgroup " + entry.path().string());
    }
  }
}

void AddNetworkNamespaces(pid_t daemon, std::set<std::string>& found) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(absl::StrCat("/proc/", daemon, "/fd"), error)) {
    const std::string target = fs::read_symlink(entry.path(), error).string();
    if (absl::StartsWith(target, "net:")) found.insert("network namespace " + target);
  }
}

// What is inside a layer is its own; what is in the database is told by name.
void AddFiles(const Place& place, std::set<std::string>& found) {
  std::error_code error;
  const fs::directory_options options = fs::directory_options::skip_permission_denied;
  for (auto at = fs::recursive_directory_iterator(place.directory + "/root", options, error);
       at != fs::recursive_directory_iterator(); at.increment(error)) {
    const std::string path = at->path().string().substr(place.directory.size());
    if (at->path().parent_path().filename() == "layers") at.disable_recursion_pending();
    // A layer whose record went without it is kept there for a day, for whoever wants to look.
    bool kept = absl::StrContains(path, "/quarantine/");
    // The event log begins a file now and then, and has a bound of its own.
    kept = kept || absl::StartsWith(path, "/root/events/");
    if (!kept && !absl::StrContains(path, "metadata.db")) found.insert("file " + path);
  }
  for (auto at = fs::recursive_directory_iterator(place.directory + "/state", options, error);
       at != fs::recursive_directory_iterator(); at.increment(error)) {
    const std::string path = at->path().string().substr(place.directory.size());
    if (absl::StartsWith(path, "/state/seccomp/")) continue;  // a cache
    found.insert("file " + path);
  }
}

}  // namespace

std::set<std::string> TakeFootprint(const Place& place, pid_t daemon,
                                    const std::vector<std::string>& names) {
  std::set<std::string> found(names.begin(), names.end());
  AddProcesses(daemon, found);
  AddMounts(place, found);
  AddGroups(place, found);
  AddNetworkNamespaces(daemon, found);
  AddFiles(place, found);
  return found;
}

}  // namespace berth::fault
