#include "server/engine/volumes.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "base/status/status_macros.h"
#include "server/engine/label_filter.h"
#include "server/engine/names.h"
#include "server/engine/volume_mount.h"
#include "server/metadata/namespace_table.h"
#include "server/metadata/record.h"

namespace berth::engine {
namespace {

using sqlite::Connection;
using sqlite::Statement;
using sqlite::WriteMode;

absl::Status NoSuchVolume(absl::string_view name) {
  return absl::NotFoundError(absl::StrCat("get ", name, ": no such volume"));
}

std::string DirectoryOf(absl::string_view ns, absl::string_view name) {
  return absl::StrCat(ns, "/", name);
}

absl::StatusOr<std::vector<std::string>> UsersOf(Connection& connection, absl::string_view ns,
                                                 absl::string_view name) {
  std::vector<std::string> users;
  BERTH_ASSIGN_OR_RETURN(
      Statement row,
      connection.Prepare("SELECT container FROM engine_volume_uses WHERE ns = ? AND volume = ?"));
  row.Bind(ns, name);
  while (true) {
    BERTH_ASSIGN_OR_RETURN(const bool more, row.Step());
    if (!more) return users;
    users.emplace_back(row.ColumnText(0));
  }
}

template <typename Message>
std::map<std::string, std::string> OptionsOf(const Message& message) {
  return {message.options().begin(), message.options().end()};
}

absl::Status CheckRequest(const v1::CreateVolumeRequest& request) {
  if (!request.name().empty()) {
    BERTH_RETURN_IF_ERROR(ValidateVolumeName(request.name()));
  }
  if (!request.driver().empty() && request.driver() != "local") {
    return absl::NotFoundError(absl::StrCat("error looking up volume plugin ", request.driver(),
                                            ": only \"local\" is here"));
  }
  if (request.options().empty()) return absl::OkStatus();
  return ParseVolumeOptions(OptionsOf(request)).status();
}

// In the order of the keys, as every time; null where there is none.
template <typename Map>
nlohmann::ordered_json ObjectOrNull(const Map& map) {
  if (map.empty()) return nullptr;
  return std::map<std::string, std::string>(map.begin(), map.end());
}

}  // namespace

absl::StatusOr<Volumes::Found> Volumes::Create(absl::string_view ns,
                                               const v1::CreateVolumeRequest& request) {
  BERTH_RETURN_IF_ERROR(CheckRequest(request));
  Found found;
  found.age = Age::kNew;
  v1::Volume& volume = found.volume;
  volume.set_name(request.name().empty() ? RandomId() : request.name());
  volume.set_anonymous(request.name().empty());
  volume.set_driver("local");
  *volume.mutable_labels() = request.labels();
  *volume.mutable_options() = request.options();
  *volume.mutable_created_at() = metadata::ToTimestamp(absl::Now());
  const std::string directory = DirectoryOf(ns, volume.name());
  BERTH_RETURN_IF_ERROR(EnsureDirectory(absl::StrCat(root_, "/", directory, "/_data"), 0755));
  BERTH_RETURN_IF_ERROR(SyncDirectory(absl::StrCat(root_, "/", ns)));
  const absl::Status stored =
      database_.Write(WriteMode::kDurable, [&](Connection& connection) -> absl::Status {
        BERTH_RETURN_IF_ERROR(metadata::EnsureNamespace(connection, ns));
        return connection.Run(
            "INSERT INTO engine_volumes (ns, name, directory, record) VALUES (?, ?, ?, ?)", ns,
            volume.name(), directory, sqlite::Blob{volume.SerializeAsString()});
      });
  if (absl::IsAlreadyExists(stored)) {
    BERTH_ASSIGN_OR_RETURN(volume, Get(ns, volume.name()));
    found.age = Age::kExisting;
    return found;
  }
  BERTH_RETURN_IF_ERROR(stored);
  volume.set_mountpoint(absl::StrCat(root_, "/", directory, "/_data"));
  events_.Publish(ns, "volume", "create", volume.name(), {{"driver", "local"}});
  return found;
}

absl::StatusOr<v1::Volume> Volumes::Get(absl::string_view ns, absl::string_view name) {
  v1::Volume volume;
  BERTH_RETURN_IF_ERROR(database_.Read([&](Connection& connection) -> absl::Status {
    BERTH_ASSIGN_OR_RETURN(
        Statement row,
        connection.Prepare(
            "SELECT directory, record FROM engine_volumes WHERE ns = ? AND name = ?"));
    BERTH_ASSIGN_OR_RETURN(const bool found, row.Bind(ns, name).Step());
    if (!found) return NoSuchVolume(name);
    BERTH_ASSIGN_OR_RETURN(volume, metadata::ParseRecord<v1::Volume>(
                                       row.ColumnBlob(1), absl::StrCat("volume ", name)));
    volume.set_mountpoint(absl::StrCat(root_, "/", row.ColumnText(0), "/_data"));
    return absl::OkStatus();
  }));
  volume.set_size_bytes(-1);
  volume.set_references(-1);
  return volume;
}

absl::StatusOr<std::vector<v1::Volume>> Volumes::ReadAll(absl::string_view ns) {
  std::vector<v1::Volume> all;
  BERTH_RETURN_IF_ERROR(database_.Read([&](Connection& connection) -> absl::Status {
    BERTH_ASSIGN_OR_RETURN(
        Statement row,
        connection.Prepare(
            "SELECT v.name, v.directory, v.record, (SELECT COUNT(*) FROM engine_volume_uses u "
            "WHERE u.ns = v.ns AND u.volume = v.name) FROM engine_volumes v WHERE v.ns = ? "
            "ORDER BY v.name"));
    row.Bind(ns);
    while (true) {
      BERTH_ASSIGN_OR_RETURN(const bool more, row.Step());
      if (!more) return absl::OkStatus();
      BERTH_ASSIGN_OR_RETURN(v1::Volume volume, metadata::ParseRecord<v1::Volume>(
                                                    row.ColumnBlob(2), row.ColumnText(0)));
      volume.set_mountpoint(absl::StrCat(root_, "/", row.ColumnText(1), "/_data"));
      volume.set_references(row.ColumnInt64(3));
      volume.set_size_bytes(-1);
      all.push_back(std::move(volume));
    }
  }));
  return all;
}

absl::StatusOr<std::vector<v1::Volume>> Volumes::List(absl::string_view ns,
                                                      const v1::ListVolumesRequest& request) {
  BERTH_ASSIGN_OR_RETURN(std::vector<v1::Volume> all, ReadAll(ns));
  for (const auto& [key, filter] : request.filters()) {
    if (key != "name" && key != "label" && key != "dangling" && key != "driver") {
      return absl::InvalidArgumentError(absl::StrCat("invalid filter '", key, "'"));
    }
    for (const std::string& value : filter.values()) {
      if (key == "dangling" && value != "true" && value != "1" && value != "false" &&
          value != "0") {
        return absl::InvalidArgumentError(absl::StrCat("invalid filter 'dangling=", value, "'"));
      }
    }
    std::erase_if(all, [&, &key = key, &filter = filter](const v1::Volume& volume) {
      if (key == "label") return !MatchesLabels(volume.labels(), filter.values());
      return std::none_of(filter.values().begin(), filter.values().end(),
                          [&](const std::string& value) {
                            if (key == "name") return absl::StrContains(volume.name(), value);
                            if (key == "driver") return volume.driver() == value;
                            const bool wants_dangling = value == "true" || value == "1";
                            return wants_dangling == (volume.references() == 0);
                          });
    });
  }
  return all;
}

absl::Status Volumes::Remove(absl::string_view ns, absl::string_view name) {
  std::string directory;
  BERTH_RETURN_IF_ERROR(
      database_.Write(WriteMode::kDurable, [&](Connection& connection) -> absl::Status {
        BERTH_ASSIGN_OR_RETURN(const std::vector<std::string> users, UsersOf(connection, ns, name));
        if (!users.empty()) {
          return absl::FailedPreconditionError(absl::StrCat(
              "remove ", name, ": volume is in use - [", absl::StrJoin(users, ", "), "]"));
        }
        BERTH_ASSIGN_OR_RETURN(
            Statement row,
            connection.Prepare("SELECT directory FROM engine_volumes WHERE ns = ? AND name = ?"));
        BERTH_ASSIGN_OR_RETURN(const bool found, row.Bind(ns, name).Step());
        if (!found) return NoSuchVolume(name);
        directory = std::string(row.ColumnText(0));
        return connection.Run("DELETE FROM engine_volumes WHERE ns = ? AND name = ?", ns, name);
      }));
  BERTH_ASSIGN_OR_RETURN(const UniqueFd root, OpenFile(root_, O_PATH | O_DIRECTORY));
  BERTH_RETURN_IF_ERROR(RemoveFiles(root, directory, absl::StrCat(root_, "/", directory)))
      << "remove the files of volume " << name;
  events_.Publish(ns, "volume", "destroy", name, {{"driver", "local"}});
  return absl::OkStatus();
}

absl::StatusOr<v1::PruneVolumesResponse> Volumes::Prune(absl::string_view ns,
                                                        const v1::PruneVolumesRequest& request) {
  v1::PruneVolumesResponse response;
  bool all = request.all();
  BERTH_ASSIGN_OR_RETURN(const std::vector<v1::Volume> volumes, ReadAll(ns));
  for (const auto& [key, filter] : request.filters()) {
    if (key == "all") {
      all = true;
    } else if (key != "label" && key != "label!") {
      return absl::InvalidArgumentError(absl::StrCat("invalid filter '", key, "'"));
    }
  }
  for (const v1::Volume& volume : volumes) {
    if (volume.references() > 0 || (!all && !volume.anonymous())) continue;
    if (!MatchesPruneLabels(volume.labels(), request.filters())) continue;
    const uint64_t bytes = volume.options().empty() ? Measure(volume.mountpoint()) : 0;
    const absl::Status removed = Remove(ns, volume.name());
    if (absl::IsFailedPrecondition(removed) || absl::IsNotFound(removed)) continue;
    BERTH_RETURN_IF_ERROR(removed);
    response.add_names(volume.name());
    response.set_reclaimed_bytes(response.reclaimed_bytes() + bytes);
  }
  return response;
}

absl::Status Volumes::Use(const ContainerKey& key, absl::string_view volume) {
  return database_.Write(WriteMode::kDelayed, [&](Connection& connection) -> absl::Status {
    BERTH_ASSIGN_OR_RETURN(
        Statement row,
        connection.Prepare("SELECT 1 FROM engine_volumes WHERE ns = ? AND name = ?"));
    BERTH_ASSIGN_OR_RETURN(const bool found, row.Bind(key.ns, volume).Step());
    if (!found) return NoSuchVolume(volume);
    return connection.Run(
        "INSERT OR IGNORE INTO engine_volume_uses (ns, container, volume) VALUES (?, ?, ?)", key.ns,
        key.id, volume);
  });
}

absl::Status Volumes::Sweep() {
  std::set<std::string> known;
  BERTH_RETURN_IF_ERROR(database_.Read([&](Connection& connection) -> absl::Status {
    BERTH_ASSIGN_OR_RETURN(Statement row,
                           connection.Prepare("SELECT directory FROM engine_volumes"));
    while (true) {
      BERTH_ASSIGN_OR_RETURN(const bool more, row.Step());
      if (!more) return absl::OkStatus();
      known.insert(std::string(row.ColumnText(0)));
    }
  }));
  BERTH_RETURN_IF_ERROR(EnsureDirectory(root_, 0711));
  BERTH_ASSIGN_OR_RETURN(const UniqueFd root, OpenFile(root_, O_RDONLY | O_DIRECTORY));
  BERTH_ASSIGN_OR_RETURN(const std::vector<std::string> namespaces, ListDirectory(root));
  for (const std::string& ns : namespaces) {
    BERTH_ASSIGN_OR_RETURN(const UniqueFd directory, OpenAt(root, ns, O_RDONLY | O_DIRECTORY));
    BERTH_ASSIGN_OR_RETURN(const std::vector<std::string> names, ListDirectory(directory));
    for (const std::string& name : names) {
      if (known.contains(DirectoryOf(ns, name))) continue;
      BERTH_RETURN_IF_ERROR(RemoveFiles(directory, name, absl::StrCat(root_, "/", ns, "/", name)));
    }
  }
  return absl::OkStatus();
}

absl::Status Volumes::RemoveFiles(BorrowedFd parent, const std::string& directory,
                                  const std::string& path) {
  BERTH_RETURN_IF_ERROR(UnmountVolume(absl::StrCat(path, "/_data")));
  return RemoveTreeAt(parent, directory);
}

absl::StatusOr<bool> Volumes::RunsElsewhere(const ContainerKey& key, absl::string_view volume) {
  bool runs = false;
  BERTH_RETURN_IF_ERROR(database_.Read([&](Connection& connection) -> absl::Status {
    BERTH_ASSIGN_OR_RETURN(
        Statement row,
        connection.Prepare("SELECT c.state FROM engine_volume_uses u JOIN engine_containers c ON "
                           "c.ns = u.ns AND c.id = u.container WHERE u.ns = ? AND u.volume = ? AND "
                           "u.container != ?"));
    row.Bind(key.ns, volume, key.id);
    while (true) {
      BERTH_ASSIGN_OR_RETURN(const bool more, row.Step());
      if (!more) return absl::OkStatus();
      BERTH_ASSIGN_OR_RETURN(const auto state,
                             metadata::ParseRecord<v1::State>(row.ColumnBlob(0), "a state"));
      runs = runs || state.status() == v1::STATUS_RUNNING || state.status() == v1::STATUS_PAUSED ||
             state.status() == v1::STATUS_RESTARTING;
    }
  }));
  return runs;
}

absl::StatusOr<std::vector<std::string>> Volumes::VolumesOf(const ContainerKey& key) {
  std::vector<std::string> names;
  BERTH_RETURN_IF_ERROR(database_.Read([&](Connection& connection) -> absl::Status {
    BERTH_ASSIGN_OR_RETURN(
        Statement row,
        connection.Prepare("SELECT volume FROM engine_volume_uses WHERE ns = ? AND container = ?"));
    row.Bind(key.ns, key.id);
    while (true) {
      BERTH_ASSIGN_OR_RETURN(const bool more, row.Step());
      if (!more) return absl::OkStatus();
      names.emplace_back(row.ColumnText(0));
    }
  }));
  return names;
}

absl::Status Volumes::Hold(const ContainerKey& key, absl::string_view name) {
  BERTH_ASSIGN_OR_RETURN(const v1::Volume volume, Get(key.ns, name));
  if (volume.options().empty()) return absl::OkStatus();
  BERTH_ASSIGN_OR_RETURN(const VolumeMount mount, ParseVolumeOptions(OptionsOf(volume)));
  MutexLock lock(&mounts_mutex_);
  BERTH_RETURN_IF_ERROR(MountVolume(mount, volume.mountpoint())) << "volume " << name;
  holders_[DirectoryOf(key.ns, name)].insert(key.id);
  return absl::OkStatus();
}

absl::Status Volumes::Release(const ContainerKey& key) {
  BERTH_ASSIGN_OR_RETURN(const std::vector<std::string> names, VolumesOf(key));
  absl::Status first;
  for (const std::string& name : names) {
    const absl::StatusOr<v1::Volume> volume = Get(key.ns, name);
    if (!volume.ok() || volume->options().empty()) continue;
    MutexLock lock(&mounts_mutex_);
    const auto found = holders_.find(DirectoryOf(key.ns, name));
    if (found != holders_.end()) {
      found->second.erase(key.id);
      if (!found->second.empty()) continue;
      holders_.erase(found);
    }
    const absl::StatusOr<bool> runs = RunsElsewhere(key, name);
    if (!runs.ok()) {
      first.Update(runs.status());
    } else if (!*runs) {
      first.Update(UnmountVolume(volume->mountpoint()));
    }
  }
  return first;
}

uint64_t Volumes::Measure(absl::string_view directory) {
  uint64_t bytes = 0;
  std::set<std::pair<dev_t, ino_t>> seen;
  std::error_code error;
  for (std::filesystem::recursive_directory_iterator entry(std::string(directory), error), end;
       !error && entry != end; entry.increment(error)) {
    struct stat status = {};
    if (::lstat(entry->path().c_str(), &status) != 0) continue;  // gone meanwhile
    if (status.st_nlink > 1 && !seen.insert({status.st_dev, status.st_ino}).second) continue;
    bytes += static_cast<uint64_t>(status.st_blocks) * 512;
  }
  return bytes;
}

std::string VolumeDocument(const v1::Volume& volume) {
  nlohmann::ordered_json document;
  document["CreatedAt"] = absl::FormatTime(
      "%Y-%m-%dT%H:%M:%SZ", metadata::FromTimestamp(volume.created_at()), absl::UTCTimeZone());
  document["Driver"] = volume.driver();
  document["Labels"] = ObjectOrNull(volume.labels());
  if (volume.anonymous()) document["Labels"]["com.docker.volume.anonymous"] = "";
  document["Mountpoint"] = volume.mountpoint();
  document["Name"] = volume.name();
  document["Options"] = ObjectOrNull(volume.options());
  document["Scope"] = "local";
  return document.dump();
}

}  // namespace berth::engine
