#include "server/metadata/snapshot_store.h"

#include <sys/random.h>

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "base/status/check.h"
#include "base/status/status_macros.h"
#include "server/metadata/lease_table.h"
#include "server/metadata/namespace_table.h"
#include "server/metadata/record.h"

namespace berth::metadata {
namespace {

namespace api = containerd::services::snapshots::v1;

constexpr char kInheritedPrefix[] = "containerd.io/snapshot/";
constexpr char kReferenceLabel[] = "containerd.io/snapshot.ref";
constexpr int kListBatch = 100;

std::map<std::string, snapshots::Snapshotter*> ByName(
    const std::vector<snapshots::Snapshotter*>& backends) {
  std::map<std::string, snapshots::Snapshotter*> by_name;
  for (snapshots::Snapshotter* backend : backends) by_name[backend->description().name] = backend;
  return by_name;
}

// Never the same again, so that a key that was removed and made anew is another snapshot below.
std::string NewBackendKey(const std::string& ns, absl::string_view key) {
  uint64_t random = 0;
  BERTH_CHECK(::getrandom(&random, sizeof(random), 0) == sizeof(random));
  return absl::StrFormat("%s/%016x/%s", ns, random, key);
}

// All other labels are the client's own business.
snapshots::Labels InheritedLabels(const Labels& labels) {
  snapshots::Labels inherited;
  for (const auto& [key, value] : labels) {
    if (key == kReferenceLabel || absl::StartsWith(key, kInheritedPrefix)) inherited[key] = value;
  }
  return inherited;
}

absl::Status RequireKey(absl::string_view key, const char* what) {
  if (!key.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("the ", what, " of a snapshot must not be empty"));
}

std::optional<std::string> FieldOf(const SnapshotInfo& info, const std::vector<std::string>& path) {
  if (path[0] == "kind") return SnapshotKindName(info.kind());
  if (path[0] == "name") return info.name();
  if (path[0] == "parent") return info.parent();
  if (path[0] == "labels") return FindLabel(info.labels(), absl::MakeConstSpan(path).subspan(1));
  return std::nullopt;
}

absl::Status ApplyMask(const SnapshotInfo& wanted, absl::Span<const std::string> mask,
                       SnapshotInfo& info) {
  if (mask.empty()) *info.mutable_labels() = wanted.labels();
  for (const std::string& path : mask) {
    absl::string_view key = path;
    if (path == "labels") {
      *info.mutable_labels() = wanted.labels();
    } else if (absl::ConsumePrefix(&key, "labels.")) {
      ApplyLabelPath(wanted.labels(), key, *info.mutable_labels());
    } else {
      return absl::InvalidArgumentError(absl::StrCat("cannot update \"", path,
                                                     "\" field on snapshot \"", wanted.name(),
                                                     "\": only labels can be changed"));
    }
  }
  BERTH_RETURN_IF_ERROR(ValidateLabels(info.labels())) << "info.Labels";
  DropEmptyLabels(*info.mutable_labels());
  return absl::OkStatus();
}

// The backend's message speaks of its own keys, so it comes after ours.
absl::Status Explain(const absl::Status& status, absl::string_view step, absl::string_view key) {
  return Annotate(status, absl::StrCat(step, " snapshot \"", key, "\""));
}

}  // namespace

SnapshotStore::SnapshotStore(sqlite::Database& database,
                             const std::vector<snapshots::Snapshotter*>& backends,
                             ChangeListener* listener)
    : database_(database), backends_(ByName(backends)), listener_(listener) {}

absl::StatusOr<snapshots::Snapshotter*> SnapshotStore::FindBackend(
    absl::string_view snapshotter) const {
  if (snapshotter.empty()) return absl::InvalidArgumentError("snapshotter argument missing");
  const auto found = backends_.find(std::string(snapshotter));
  if (found == backends_.end()) {
    const std::string known = absl::StrJoin(
        backends_, ", ", [](std::string* out, const auto& entry) { out->append(entry.first); });
    return absl::InvalidArgumentError(
        absl::StrCat("snapshotter not loaded: ", snapshotter, " (there are: ", known, ")"));
  }
  return found->second;
}

absl::StatusOr<snapshots::Snapshotter::Description> SnapshotStore::Describe(
    absl::string_view snapshotter) const {
  BERTH_ASSIGN_OR_RETURN(const snapshots::Snapshotter* const backend, FindBackend(snapshotter));
  return backend->description();
}

absl::StatusOr<SnapshotRecord> SnapshotStore::Read(const SnapshotSpace& space,
                                                   absl::string_view key) {
  SnapshotRecord record;
  BERTH_RETURN_IF_ERROR(database_.Read([&](sqlite::Connection& connection) -> absl::Status {
    BERTH_ASSIGN_OR_RETURN(record, GetSnapshot(connection, space, key));
    return absl::OkStatus();
  }));
  return record;
}

absl::StatusOr<SnapshotInfo> SnapshotStore::Stat(const Caller& caller,
                                                 absl::string_view snapshotter,
                                                 absl::string_view key) {
  BERTH_RETURN_IF_ERROR(FindBackend(snapshotter));
  BERTH_ASSIGN_OR_RETURN(SnapshotRecord record, Read({caller.ns, std::string(snapshotter)}, key));
  return std::move(record.info);
}

absl::StatusOr<std::vector<SnapshotInfo>> SnapshotStore::List(const Caller& caller,
                                                              absl::string_view snapshotter,
                                                              const Filter& filter,
                                                              absl::string_view after, int limit) {
  BERTH_RETURN_IF_ERROR(FindBackend(snapshotter));
  const SnapshotSpace space{caller.ns, std::string(snapshotter)};
  std::vector<Info> matching;
  std::string last(after);
  BERTH_RETURN_IF_ERROR(database_.Read([&](sqlite::Connection& connection) -> absl::Status {
    while (true) {
      BERTH_ASSIGN_OR_RETURN(std::vector<Info> batch,
                             ListSnapshots(connection, space, last, kListBatch));
      if (batch.empty()) return absl::OkStatus();
      last = batch.back().name();
      for (Info& info : batch) {
        if (!filter.Matches([&](const auto& path) { return FieldOf(info, path); })) continue;
        matching.push_back(std::move(info));
        if (matching.size() >= static_cast<size_t>(limit)) return absl::OkStatus();
      }
    }
  }));
  return matching;
}

absl::StatusOr<SnapshotInfo> SnapshotStore::Update(const Caller& caller,
                                                   absl::string_view snapshotter, const Info& info,
                                                   absl::Span<const std::string> mask) {
  BERTH_ASSIGN_OR_RETURN(snapshots::Snapshotter* const backend, FindBackend(snapshotter));
  BERTH_RETURN_IF_ERROR(RequireKey(info.name(), "name"));
  const SnapshotSpace space{caller.ns, std::string(snapshotter)};
  MutexLock lock(&update_mutex_);
  BERTH_ASSIGN_OR_RETURN(SnapshotRecord updated, Read(space, info.name()));
  BERTH_RETURN_IF_ERROR(ApplyMask(info, mask, updated.info));
  *updated.info.mutable_updated_at() = ToTimestamp(absl::Now());

  snapshots::Info below;
  below.name = updated.backend_key;
  below.labels = InheritedLabels(updated.info.labels());
  const auto record_it = [&](sqlite::Connection& connection) -> absl::Status {
    BERTH_ASSIGN_OR_RETURN(const SnapshotRecord now, GetSnapshot(connection, space, info.name()));
    if (now.backend_key != updated.backend_key) {
      return absl::UnavailableError(
          absl::StrCat("snapshot \"", info.name(), "\" was replaced meanwhile; try again"));
    }
    return ReplaceSnapshot(connection, space, info.name(), updated);
  };
  const auto result = backend->Update(below, {.field_paths = {}, .also = record_it});
  if (!result.ok()) return Explain(result.status(), "update", info.name());
  Tell(Change::kReleased);
  return std::move(updated.info);
}

absl::StatusOr<snapshots::Usage> SnapshotStore::GetUsage(const Caller& caller,
                                                         absl::string_view snapshotter,
                                                         absl::string_view key) {
  BERTH_ASSIGN_OR_RETURN(snapshots::Snapshotter* const backend, FindBackend(snapshotter));
  BERTH_ASSIGN_OR_RETURN(const SnapshotRecord record,
                         Read({caller.ns, std::string(snapshotter)}, key));
  return backend->GetUsage(record.backend_key);
}

absl::StatusOr<SnapshotStore::Mounts> SnapshotStore::GetMounts(const Caller& caller,
                                                               absl::string_view snapshotter,
                                                               absl::string_view key) {
  BERTH_ASSIGN_OR_RETURN(snapshots::Snapshotter* const backend, FindBackend(snapshotter));
  BERTH_ASSIGN_OR_RETURN(const SnapshotRecord record,
                         Read({caller.ns, std::string(snapshotter)}, key));
  if (record.info.kind() == api::COMMITTED) {
    return absl::FailedPreconditionError(
        absl::StrCat("snapshot \"", key,
                     "\" is committed and has no mounts of its own; prepare or view it first"));
  }
  return backend->Mounts(record.backend_key);
}

absl::Status SnapshotStore::RefuseExisting(const Caller& caller, const SnapshotSpace& space,
                                           absl::string_view key) {
  if (!caller.lease.empty()) {
    const std::string type = SnapshotResource(space.snapshotter);
    BERTH_RETURN_IF_ERROR(database_.Write(
        sqlite::WriteMode::kDurable,
        [&](sqlite::Connection& connection) { return AddToLease(connection, caller, type, key); }));
    Tell(Change::kAdded);
  }
  return absl::AlreadyExistsError(absl::StrCat("snapshot \"", key, "\": already exists"));
}

absl::StatusOr<SnapshotStore::Mounts> SnapshotStore::Create(const Caller& caller,
                                                            absl::string_view snapshotter,
                                                            const NewSnapshot& snapshot,
                                                            Access access) {
  BERTH_ASSIGN_OR_RETURN(snapshots::Snapshotter* const backend, FindBackend(snapshotter));
  BERTH_RETURN_IF_ERROR(RequireKey(snapshot.key, "key"));
  BERTH_RETURN_IF_ERROR(ValidateLabels(snapshot.labels)) << "info.Labels";
  const SnapshotSpace space{caller.ns, std::string(snapshotter)};
  const auto reference = snapshot.labels.find(kReferenceLabel);

  // A first look, so that what cannot succeed makes no files. The insertion decides.
  std::string existing;
  std::string backend_parent;
  BERTH_RETURN_IF_ERROR(database_.Read([&](sqlite::Connection& connection) -> absl::Status {
    for (const std::string& key :
         {reference != snapshot.labels.end() ? reference->second : std::string(), snapshot.key}) {
      if (key.empty()) continue;
      BERTH_ASSIGN_OR_RETURN(const auto found, FindSnapshot(connection, space, key));
      if (!found.has_value()) continue;
      existing = key;
      return absl::OkStatus();
    }
    if (snapshot.parent.empty()) return absl::OkStatus();
    BERTH_ASSIGN_OR_RETURN(SnapshotRecord parent,
                           GetParentSnapshot(connection, space, snapshot.parent));
    backend_parent = std::move(parent.backend_key);
    return absl::OkStatus();
  }));
  if (!existing.empty()) return RefuseExisting(caller, space, existing);

  SnapshotRecord record;
  record.backend_key = NewBackendKey(caller.ns, snapshot.key);
  record.info.set_name(snapshot.key);
  record.info.set_parent(snapshot.parent);
  record.info.set_kind(access == Access::kReadWrite ? api::ACTIVE : api::VIEW);
  *record.info.mutable_labels() = snapshot.labels;
  DropEmptyLabels(*record.info.mutable_labels());
  *record.info.mutable_created_at() = ToTimestamp(absl::Now());
  *record.info.mutable_updated_at() = record.info.created_at();

  bool lost_race = false;
  const auto record_it = [&](sqlite::Connection& connection) -> absl::Status {
    BERTH_RETURN_IF_ERROR(EnsureNamespace(connection, caller.ns));
    if (!snapshot.parent.empty()) {
      BERTH_ASSIGN_OR_RETURN(const SnapshotRecord parent,
                             GetParentSnapshot(connection, space, snapshot.parent));
      if (parent.backend_key != backend_parent) {
        return absl::UnavailableError(absl::StrCat("parent snapshot \"", snapshot.parent,
                                                   "\" was replaced meanwhile; try again"));
      }
    }
    const absl::Status inserted = InsertSnapshot(connection, space, record);
    lost_race = absl::IsAlreadyExists(inserted);
    BERTH_RETURN_IF_ERROR(inserted);
    return AddToLease(connection, caller, SnapshotResource(snapshotter), snapshot.key);
  };
  const snapshots::CreateOptions options{.labels = InheritedLabels(record.info.labels()),
                                         .also = record_it};
  absl::StatusOr<Mounts> mounts =
      access == Access::kReadWrite ? backend->Prepare(record.backend_key, backend_parent, options)
                                   : backend->View(record.backend_key, backend_parent, options);
  if (lost_race) return RefuseExisting(caller, space, snapshot.key);
  if (!mounts.ok()) return Explain(mounts.status(), "prepare", snapshot.key);
  Tell(Change::kAdded);
  return mounts;
}

absl::StatusOr<SnapshotStore::Mounts> SnapshotStore::Prepare(const Caller& caller,
                                                             absl::string_view snapshotter,
                                                             const NewSnapshot& snapshot) {
  return Create(caller, snapshotter, snapshot, Access::kReadWrite);
}

absl::StatusOr<SnapshotStore::Mounts> SnapshotStore::View(const Caller& caller,
                                                          absl::string_view snapshotter,
                                                          const NewSnapshot& snapshot) {
  return Create(caller, snapshotter, snapshot, Access::kReadOnly);
}

absl::Status SnapshotStore::Commit(const Caller& caller, absl::string_view snapshotter,
                                   const CommitSnapshot& commit) {
  BERTH_ASSIGN_OR_RETURN(snapshots::Snapshotter* const backend, FindBackend(snapshotter));
  BERTH_RETURN_IF_ERROR(RequireKey(commit.name, "name"));
  BERTH_RETURN_IF_ERROR(ValidateLabels(commit.labels)) << "info.Labels";
  const SnapshotSpace space{caller.ns, std::string(snapshotter)};

  bool is_taken = false;
  SnapshotRecord active;
  snapshots::CommitOptions options;
  BERTH_RETURN_IF_ERROR(database_.Read([&](sqlite::Connection& connection) -> absl::Status {
    BERTH_ASSIGN_OR_RETURN(const auto found, FindSnapshot(connection, space, commit.name));
    is_taken = found.has_value();
    if (is_taken) return absl::OkStatus();
    BERTH_ASSIGN_OR_RETURN(active, GetSnapshot(connection, space, commit.key));
    if (active.info.kind() != api::ACTIVE) {
      return absl::FailedPreconditionError(
          absl::StrCat("cannot commit snapshot \"", commit.key, "\": it is ",
                       SnapshotKindName(active.info.kind()), ", not active"));
    }
    if (commit.parent.empty() || commit.parent == active.info.parent()) return absl::OkStatus();
    if (!active.info.parent().empty()) {
      return absl::FailedPreconditionError(
          absl::StrCat("cannot commit snapshot \"", commit.key, "\" on \"", commit.parent,
                       "\": it was prepared on \"", active.info.parent(), "\""));
    }
    BERTH_ASSIGN_OR_RETURN(SnapshotRecord parent,
                           GetParentSnapshot(connection, space, commit.parent));
    options.parent = std::move(parent.backend_key);
    return absl::OkStatus();
  }));
  if (is_taken) return RefuseExisting(caller, space, commit.name);

  SnapshotRecord committed;
  committed.backend_key = NewBackendKey(caller.ns, commit.name);
  committed.info.set_name(commit.name);
  committed.info.set_parent(options.parent.empty() ? active.info.parent() : commit.parent);
  committed.info.set_kind(api::COMMITTED);
  *committed.info.mutable_labels() = commit.labels;
  DropEmptyLabels(*committed.info.mutable_labels());
  *committed.info.mutable_created_at() = ToTimestamp(absl::Now());
  *committed.info.mutable_updated_at() = committed.info.created_at();

  options.labels = InheritedLabels(committed.info.labels());
  options.also = [&](sqlite::Connection& connection) -> absl::Status {
    BERTH_ASSIGN_OR_RETURN(const auto found, FindSnapshot(connection, space, commit.name));
    is_taken = found.has_value();
    if (is_taken) return absl::AlreadyExistsError("name taken");
    BERTH_ASSIGN_OR_RETURN(const SnapshotRecord now, GetSnapshot(connection, space, commit.key));
    if (now.backend_key != active.backend_key) {
      return absl::UnavailableError(
          absl::StrCat("snapshot \"", commit.key, "\" was replaced meanwhile; try again"));
    }
    if (!options.parent.empty()) {
      BERTH_RETURN_IF_ERROR(GetParentSnapshot(connection, space, commit.parent));
    }
    BERTH_RETURN_IF_ERROR(ReplaceSnapshot(connection, space, commit.key, committed));
    const std::string type = SnapshotResource(snapshotter);
    BERTH_RETURN_IF_ERROR(AddToLease(connection, caller, type, commit.name));
    return RemoveFromLease(connection, caller, type, commit.key);
  };
  const absl::Status status = backend->Commit(committed.backend_key, active.backend_key, options);
  if (is_taken) return RefuseExisting(caller, space, commit.name);
  if (!status.ok()) return Explain(status, "commit", commit.key);
  Tell(Change::kAdded);
  return absl::OkStatus();
}

absl::Status SnapshotStore::Remove(const Caller& caller, absl::string_view snapshotter,
                                   absl::string_view key) {
  BERTH_RETURN_IF_ERROR(FindBackend(snapshotter));
  const SnapshotSpace space{caller.ns, std::string(snapshotter)};
  BERTH_RETURN_IF_ERROR(database_.Write(
      sqlite::WriteMode::kDelayed, [&](sqlite::Connection& connection) -> absl::Status {
        BERTH_RETURN_IF_ERROR(EraseSnapshot(connection, space, key));
        return RemoveFromLease(connection, caller, SnapshotResource(snapshotter), key);
      }));
  // The snapshot is gone for everybody. What fails from here is done by the next removal.
  RemoveLeftovers().IgnoreError();
  Tell(Change::kReleased);
  return absl::OkStatus();
}

absl::Status SnapshotStore::Cleanup(absl::string_view snapshotter) {
  BERTH_ASSIGN_OR_RETURN(snapshots::Snapshotter* const backend, FindBackend(snapshotter));
  BERTH_RETURN_IF_ERROR(RemoveLeftovers());
  return backend->Cleanup();
}

absl::Status SnapshotStore::RemoveLeftovers() {
  std::vector<SnapshotGarbage> garbage;
  BERTH_RETURN_IF_ERROR(database_.Read([&](sqlite::Connection& connection) -> absl::Status {
    BERTH_ASSIGN_OR_RETURN(garbage, ListSnapshotGarbage(connection));
    return absl::OkStatus();
  }));
  absl::Status first_error;
  for (const SnapshotGarbage& item : garbage) {
    const auto backend = backends_.find(item.snapshotter);
    if (backend == backends_.end()) continue;  // not loaded this time
    const auto forget = [&](sqlite::Connection& connection) {
      return ForgetSnapshotGarbage(connection, item.number);
    };
    const absl::Status removed = backend->second->Remove(item.backend_key, {.also = forget});
    if (absl::IsNotFound(removed)) {  // somebody else was faster
      first_error.Update(database_.Write(sqlite::WriteMode::kDelayed, forget));
    } else {
      first_error.Update(removed);
    }
  }
  return first_error;
}

absl::Status SnapshotStore::ForEach(sqlite::Connection& connection, absl::Time,
                                    absl::FunctionRef<void(ObjectId, Rooted)> visit) {
  BERTH_ASSIGN_OR_RETURN(sqlite::Statement row,
                         connection.Prepare("SELECT ns, snapshotter, key FROM snapshots"));
  while (true) {
    BERTH_ASSIGN_OR_RETURN(const bool more, row.Step());
    if (!more) return absl::OkStatus();
    visit({ObjectKind::kSnapshot, std::string(row.ColumnText(0)),
           SnapshotObjectName(row.ColumnText(1), row.ColumnText(2))},
          Rooted::kNo);
  }
}

absl::Status SnapshotStore::References(sqlite::Connection& connection, const ObjectId& object,
                                       absl::FunctionRef<void(ObjectId)> visit) {
  const auto [snapshotter, key] = SplitSnapshotObjectName(object.name);
  BERTH_ASSIGN_OR_RETURN(
      sqlite::Statement row,
      connection.Prepare("SELECT parent FROM snapshots WHERE ns = ? AND snapshotter = ? "
                         "AND key = ? AND parent IS NOT NULL"));
  BERTH_ASSIGN_OR_RETURN(const bool found, row.Bind(object.ns, snapshotter, key).Step());
  if (found) {
    visit({ObjectKind::kSnapshot, object.ns, SnapshotObjectName(snapshotter, row.ColumnText(0))});
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<ObjectId>> SnapshotStore::RemoveRecords(
    sqlite::Connection& connection, absl::Span<const ObjectId> objects) {
  std::vector<ObjectId> removed;
  for (const ObjectId& object : objects) {
    const auto [snapshotter, key] = SplitSnapshotObjectName(object.name);
    const absl::Status erased =
        EraseSnapshot(connection, {object.ns, std::string(snapshotter)}, key);
    if (absl::IsNotFound(erased) || absl::IsFailedPrecondition(erased)) continue;
    BERTH_RETURN_IF_ERROR(erased) << "collect snapshot \"" << key << "\"";
    removed.push_back(object);
  }
  return removed;
}

absl::Status SnapshotStore::RemoveData(absl::Span<const ObjectId>) { return RemoveLeftovers(); }

}  // namespace berth::metadata
