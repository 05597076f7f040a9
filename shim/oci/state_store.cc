#include "shim/oci/state_store.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/json/document.h"
#include "base/json/writer.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"
#include "shim/cgroup/cgroup.h"

namespace berth::oci {
namespace {

constexpr int kVersion = 1;
// A link, because it is there in one step.
constexpr char kBundleLink[] = "/bundle";

bool ValidId(absl::string_view id) {
  if (id.empty() || id.size() > 1024 || id == "." || id == "..") return false;
  for (char c : id) {
    if (!absl::ascii_isalnum(static_cast<unsigned char>(c)) && !absl::StrContains("_+-.", c))
      return false;
  }
  return id[0] != '.';
}

// The state letter and start time of a process; false when it is gone.
bool ReadProcess(pid_t pid, char& state, uint64_t& start_time) {
  absl::StatusOr<std::string> stat = ReadFile(absl::StrCat("/proc/", pid, "/stat"));
  if (!stat.ok()) return false;
  const size_t close = stat->rfind(')');
  unsigned long long ticks = 0;
  if (close == std::string::npos ||
      ::sscanf(stat->c_str() + close + 1,
               " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
               &state, &ticks) != 2) {
    return false;
  }
  start_time = ticks;
  return true;
}

}  // namespace

const char* RuntimeStateName(RuntimeState state) {
  switch (state) {
    case RuntimeState::kCreating:
      return "creating";
    case RuntimeState::kCreated:
      return "created";
    case RuntimeState::kRunning:
      return "running";
    case RuntimeState::kPaused:
      return "paused";
    case RuntimeState::kStopped:
      return "stopped";
  }
  return "unknown";
}

absl::Status StateStore::Reserve(const std::string& id, const std::string& bundle) const {
  if (!ValidId(id)) {
    return absl::InvalidArgumentError(absl::StrCat("invalid container ID format: \"", id,
                                                   "\": letters, digits and _+-. are allowed"));
  }
  // What cleans up an ordinary user's runtime directory leaves sticky ones alone.
  BERTH_RETURN_IF_ERROR(EnsureDirectory(root_, ::geteuid() == 0 ? 0711 : 01711));
  if (::mkdir(Directory(id).c_str(), 0711) != 0) {
    if (errno == EEXIST) {
      return absl::AlreadyExistsError(absl::StrCat("container with given ID already exists: ", id));
    }
    return ErrnoStatus(errno, "make", Directory(id));
  }
  const std::string link = Directory(id) + kBundleLink;
  if (::symlink(bundle.c_str(), link.c_str()) != 0) return ErrnoStatus(errno, "make", link);
  return absl::OkStatus();
}

absl::StatusOr<std::string> StateStore::ReservedBundle(const std::string& id) const {
  if (!ValidId(id)) return absl::NotFoundError(absl::StrCat("no container ", id));
  char bundle[PATH_MAX];
  const ssize_t size =
      ::readlink((Directory(id) + kBundleLink).c_str(), bundle, sizeof(bundle) - 1);
  if (size < 0) return ErrnoStatus(errno, "read", Directory(id) + kBundleLink);
  return std::string(bundle, static_cast<size_t>(size));
}

absl::Status StateStore::Save(const ContainerRecord& record) const {
  json::Writer writer;
  writer.BeginObject().Key("version").Int(kVersion).Key("id").String(record.id);
  writer.Key("bundle").String(record.bundle).Key("rootfs").String(record.rootfs);
  writer.Key("ociVersion").String(record.oci_version).Key("created").String(record.created);
  writer.Key("pid").Int(record.init_pid).Key("startTime").Uint(record.init_start_time_ticks);
  writer.Key("annotations").Raw(record.annotations_json.empty() ? "{}" : record.annotations_json);
  writer.Key("cgroupPaths").BeginArray();
  for (const std::string& path : record.cgroup_paths) writer.String(path);
  writer.EndArray().EndObject();
  return ReplaceFileAt(BorrowedFd(AT_FDCWD), Directory(record.id) + "/state.json", writer.Take(),
                       0600, Durability::kUnsynced);
}

absl::StatusOr<ContainerRecord> StateStore::Load(const std::string& id) const {
  if (!ValidId(id)) {
    return absl::InvalidArgumentError(absl::StrCat("invalid container ID format: \"", id, "\""));
  }
  const std::string path = Directory(id) + "/state.json";
  absl::StatusOr<std::string> text = ReadFile(path);
  if (!text.ok()) {
    if (ErrnoOf(text.status()) == ENOENT) {
      return absl::NotFoundError(absl::StrCat("container does not exist: ", id));
    }
    return text.status();
  }
  BERTH_ASSIGN_OR_RETURN(const json::Document document, json::Document::Parse(*std::move(text)),
                         _ << "state of container " << id);
  const json::Value root = document.root();
  if (root.Find("version").AsInt64().value_or(0) != kVersion) {
    return absl::FailedPreconditionError(
        absl::StrCat("the state of container ", id, " was written by another release"));
  }
  ContainerRecord record;
  record.id = id;
  struct stat info;
  if (::stat(path.c_str(), &info) == 0) record.owner = info.st_uid;
  record.bundle = std::string(root.Find("bundle").text());
  record.rootfs = std::string(root.Find("rootfs").text());
  record.oci_version = std::string(root.Find("ociVersion").text());
  record.created = std::string(root.Find("created").text());
  record.annotations_json = std::string(root.Find("annotations").raw());
  record.init_pid = static_cast<pid_t>(root.Find("pid").AsInt64().value_or(-1));
  record.init_start_time_ticks = root.Find("startTime").AsUint64().value_or(0);
  for (auto path : root.Find("cgroupPaths")) record.cgroup_paths.emplace_back(path.value().text());
  return record;
}

absl::Status StateStore::Remove(const std::string& id) const {
  absl::StatusOr<UniqueFd> root = OpenFile(root_, O_RDONLY | O_DIRECTORY);
  if (!root.ok()) return ErrnoOf(root.status()) == ENOENT ? absl::OkStatus() : root.status();
  return RemoveTreeAt(*root, id);
}

absl::StatusOr<std::vector<std::string>> StateStore::List() const {
  absl::StatusOr<UniqueFd> root = OpenFile(root_, O_RDONLY | O_DIRECTORY);
  if (!root.ok()) {
    if (ErrnoOf(root.status()) == ENOENT) return std::vector<std::string>();
    return root.status();
  }
  BERTH_ASSIGN_OR_RETURN(std::vector<std::string> names, ListDirectory(*root));
  std::vector<std::string> ids;
  for (std::string& name : names) {
    if (ValidId(name)) ids.push_back(std::move(name));
  }
  return ids;
}

std::string StateStore::StartSocket(const std::string& id) const {
  return Directory(id) + "/start.sock";
}

RuntimeState StateStore::StateOf(const ContainerRecord& record) const {
  char letter = 0;
  uint64_t start_time = 0;
  if (record.init_pid <= 0 || !ReadProcess(record.init_pid, letter, start_time) ||
      start_time != record.init_start_time_ticks || letter == 'Z' || letter == 'X') {
    return RuntimeState::kStopped;
  }
  const cgroup::Cgroup group = cgroup::Cgroup::Open(record.cgroup_paths);
  absl::StatusOr<cgroup::FreezerState> frozen = group.Frozen();
  if (frozen.ok() && *frozen != cgroup::FreezerState::kThawed) return RuntimeState::kPaused;
  return ::access(StartSocket(record.id).c_str(), F_OK) == 0 ? RuntimeState::kCreated
                                                             : RuntimeState::kRunning;
}

}  // namespace berth::oci
