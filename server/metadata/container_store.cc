#include "server/metadata/container_store.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/status/status_macros.h"
#include "server/filter/filter.h"
#include "server/metadata/gc_labels.h"
#include "server/metadata/identifiers.h"
#include "server/metadata/labels.h"
#include "server/metadata/namespace_table.h"
#include "server/metadata/record.h"

namespace berth::metadata {
namespace {

using Container = ContainerStore::Container;

std::string Quoted(absl::string_view id) { return absl::StrCat("container \"", id, "\""); }

absl::Status NotFound(const Caller& caller, absl::string_view id) {
  return absl::NotFoundError(
      absl::StrCat(Quoted(id), " in namespace \"", caller.ns, "\": not found"));
}

std::optional<std::string> PresentUnlessEmpty(const std::string& value) {
  if (value.empty()) return std::nullopt;
  return value;
}

std::optional<std::string> FieldOf(const Container& container,
                                   const std::vector<std::string>& path) {
  const std::string& first = path[0];
  if (first == "id") return PresentUnlessEmpty(container.id());
  if (first == "image") return PresentUnlessEmpty(container.image());
  if (first == "runtime" && path.size() > 1 && path[1] == "name") {
    return PresentUnlessEmpty(container.runtime().name());
  }
  if (first == "labels") {
    return FindLabel(container.labels(), absl::MakeConstSpan(path).subspan(1));
  }
  return std::nullopt;
}

absl::Status Validate(const Container& container) {
  BERTH_RETURN_IF_ERROR(ValidateIdentifier(container.id())) << "container.ID";
  BERTH_RETURN_IF_ERROR(ValidateLabels(container.labels())) << "container.Labels";
  if (container.extensions().contains("")) {
    return absl::InvalidArgumentError("container.Extensions: a key must not be empty");
  }
  if (container.runtime().name().empty()) {
    return absl::InvalidArgumentError("container.Runtime.Name must be set");
  }
  if (!container.has_spec()) return absl::InvalidArgumentError("container.Spec must be set");
  if (!container.snapshot_key().empty() && container.snapshotter().empty()) {
    return absl::InvalidArgumentError(
        "container.Snapshotter must be set if container.SnapshotKey is set");
  }
  return absl::OkStatus();
}

absl::Status ApplyPath(const Container& source, absl::string_view path, Container& target) {
  absl::string_view key = path;
  if (absl::ConsumePrefix(&key, "labels.")) {
    ApplyLabelPath(source.labels(), key, *target.mutable_labels());
  } else if (absl::ConsumePrefix(&key, "extensions.")) {
    const auto found = source.extensions().find(std::string(key));
    if (found == source.extensions().end()) {
      target.mutable_extensions()->erase(std::string(key));
    } else {
      (*target.mutable_extensions())[std::string(key)] = found->second;
    }
  } else if (path == "labels") {
    *target.mutable_labels() = source.labels();
  } else if (path == "extensions") {
    *target.mutable_extensions() = source.extensions();
  } else if (path == "spec") {
    target.clear_spec();
    if (source.has_spec()) *target.mutable_spec() = source.spec();
  } else if (path == "image") {
    target.set_image(source.image());
  } else if (path == "snapshotkey") {
    target.set_snapshot_key(source.snapshot_key());
  } else {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot update \"", path, "\" field of ", Quoted(source.id())));
  }
  return absl::OkStatus();
}

absl::Status ApplyUpdate(const Container& source, absl::Span<const std::string> mask,
                         Container& target) {
  if (mask.empty()) {
    if (source.snapshotter() != target.snapshotter()) {
      return absl::InvalidArgumentError("container.Snapshotter field is immutable");
    }
    if (source.runtime().name() != target.runtime().name()) {
      return absl::InvalidArgumentError("container.Runtime.Name field is immutable");
    }
    for (const absl::string_view path : {"labels", "extensions", "spec", "image", "snapshotkey"}) {
      BERTH_RETURN_IF_ERROR(ApplyPath(source, path, target));
    }
  }
  for (const std::string& path : mask) {
    BERTH_RETURN_IF_ERROR(ApplyPath(source, path, target));
  }
  return Validate(target);
}

absl::StatusOr<Container> Find(sqlite::Connection& connection, const Caller& caller,
                               absl::string_view id) {
  BERTH_ASSIGN_OR_RETURN(
      sqlite::Statement row,
      connection.Prepare("SELECT record FROM containers WHERE ns = ? AND id = ?"));
  BERTH_ASSIGN_OR_RETURN(const bool found, row.Bind(caller.ns, id).Step());
  if (!found) return NotFound(caller, id);
  return ParseRecord<Container>(row.ColumnBlob(0), Quoted(id));
}

}  // namespace

absl::StatusOr<Container> ContainerStore::Get(const Caller& caller, absl::string_view id) {
  Container container;
  BERTH_RETURN_IF_ERROR(database_.Read([&](sqlite::Connection& connection) -> absl::Status {
    BERTH_ASSIGN_OR_RETURN(container, Find(connection, caller, id));
    return absl::OkStatus();
  }));
  return container;
}

absl::StatusOr<std::vector<Container>> ContainerStore::List(const Caller& caller,
                                                            absl::Span<const std::string> filters) {
  BERTH_ASSIGN_OR_RETURN(const Filter filter, Filter::Compile(filters));
  std::vector<Container> all;
  BERTH_RETURN_IF_ERROR(database_.Read([&](sqlite::Connection& connection) -> absl::Status {
    BERTH_ASSIGN_OR_RETURN(
        sqlite::Statement row,
        connection.Prepare("SELECT id, record FROM containers WHERE ns = ? ORDER BY id"));
    row.Bind(caller.ns);
    while (true) {
      BERTH_ASSIGN_OR_RETURN(const bool more, row.Step());
      if (!more) return absl::OkStatus();
      BERTH_ASSIGN_OR_RETURN(Container container,
                             ParseRecord<Container>(row.ColumnBlob(1), Quoted(row.ColumnText(0))));
      if (filter.Matches([&](const auto& path) { return FieldOf(container, path); })) {
        all.push_back(std::move(container));
      }
    }
  }));
  return all;
}

absl::StatusOr<bool> ContainerStore::VisitPage(
    const Caller& caller, const Filter& filter, size_t page_bytes, std::string& after,
    absl::FunctionRef<void(absl::string_view record)> visit) {
  bool more = true;
  BERTH_RETURN_IF_ERROR(database_.Read([&](sqlite::Connection& connection) -> absl::Status {
    BERTH_ASSIGN_OR_RETURN(sqlite::Statement row,
                           connection.Prepare("SELECT id, record FROM containers "
                                              "WHERE ns = ? AND id > ? ORDER BY id"));
    const std::string begin = after;
    row.Bind(caller.ns, begin);
    for (size_t read_bytes = 0; read_bytes < page_bytes;) {
      BERTH_ASSIGN_OR_RETURN(more, row.Step());
      if (!more) return absl::OkStatus();
      after = std::string(row.ColumnText(0));
      const absl::string_view record = row.ColumnBlob(1);
      read_bytes += record.size();
      if (!filter.MatchesAll()) {
        BERTH_ASSIGN_OR_RETURN(const auto container, ParseRecord<Container>(record, Quoted(after)));
        if (!filter.Matches([&](const auto& path) { return FieldOf(container, path); })) continue;
      }
      visit(record);
    }
    return absl::OkStatus();
  }));
  return more;
}

absl::StatusOr<Container> ContainerStore::Create(const Caller& caller, Container container) {
  BERTH_RETURN_IF_ERROR(Validate(container)) << "create container failed validation";
  DropEmptyLabels(*container.mutable_labels());
  *container.mutable_created_at() = ToTimestamp(absl::Now());
  *container.mutable_updated_at() = container.created_at();
  const std::string record = container.SerializeAsString();
  const ObjectId object{ObjectKind::kContainer, caller.ns, container.id()};
  absl::Status status = database_.Write(
      sqlite::WriteMode::kDelayed, [&](sqlite::Connection& connection) -> absl::Status {
        BERTH_RETURN_IF_ERROR(EnsureNamespace(connection, caller.ns));
        BERTH_RETURN_IF_ERROR(
            connection.Run("INSERT INTO containers (ns, id, snapshotter, snapshot_key, record) "
                           "VALUES (?, ?, ?, ?, ?)",
                           caller.ns, container.id(), container.snapshotter(),
                           container.snapshot_key(), sqlite::Blob{record}));
        return SetGcLabels(connection, object, container.labels(), ObjectAge::kNewObject);
      });
  if (absl::IsAlreadyExists(status)) {
    return absl::AlreadyExistsError(absl::StrCat(Quoted(container.id()), ": already exists"));
  }
  BERTH_RETURN_IF_ERROR(status) << "create " << Quoted(container.id());
  Tell(Change::kAdded);
  return container;
}

absl::StatusOr<Container> ContainerStore::Update(const Caller& caller, const Container& container,
                                                 absl::Span<const std::string> mask) {
  if (container.id().empty()) return absl::InvalidArgumentError("container.ID must be set");
  Container updated;
  BERTH_RETURN_IF_ERROR(database_.Write(
      sqlite::WriteMode::kDelayed, [&](sqlite::Connection& connection) -> absl::Status {
        BERTH_ASSIGN_OR_RETURN(updated, Find(connection, caller, container.id()));
        BERTH_RETURN_IF_ERROR(ApplyUpdate(container, mask, updated));
        DropEmptyLabels(*updated.mutable_labels());
        *updated.mutable_updated_at() = ToTimestamp(absl::Now());
        BERTH_RETURN_IF_ERROR(
            connection.Run("UPDATE containers SET snapshotter = ?, snapshot_key = ?, record = ? "
                           "WHERE ns = ? AND id = ?",
                           updated.snapshotter(), updated.snapshot_key(),
                           sqlite::Blob{updated.SerializeAsString()}, caller.ns, updated.id()));
        return SetGcLabels(connection, {ObjectKind::kContainer, caller.ns, updated.id()},
                           updated.labels(), ObjectAge::kMayExist);
      }));
  Tell(Change::kReleased);
  return updated;
}

absl::Status ContainerStore::Delete(const Caller& caller, absl::string_view id) {
  BERTH_RETURN_IF_ERROR(database_.Write(
      sqlite::WriteMode::kDelayed, [&](sqlite::Connection& connection) -> absl::Status {
        BERTH_RETURN_IF_ERROR(
            connection.Run("DELETE FROM containers WHERE ns = ? AND id = ?", caller.ns, id));
        if (connection.Changes() == 0) return NotFound(caller, id);
        return RemoveGcLabels(connection, {ObjectKind::kContainer, caller.ns, std::string(id)});
      }));
  Tell(Change::kReleased);
  return absl::OkStatus();
}

absl::Status ContainerStore::ForEach(sqlite::Connection& connection, absl::Time,
                                     absl::FunctionRef<void(ObjectId, Rooted)> visit) {
  BERTH_ASSIGN_OR_RETURN(sqlite::Statement row,
                         connection.Prepare("SELECT ns, id FROM containers"));
  while (true) {
    BERTH_ASSIGN_OR_RETURN(const bool more, row.Step());
    if (!more) return absl::OkStatus();
    visit({ObjectKind::kContainer, std::string(row.ColumnText(0)), std::string(row.ColumnText(1))},
          Rooted::kYes);
  }
}

absl::Status ContainerStore::References(sqlite::Connection& connection, const ObjectId& object,
                                        absl::FunctionRef<void(ObjectId)> visit) {
  BERTH_ASSIGN_OR_RETURN(
      sqlite::Statement row,
      connection.Prepare(
          "SELECT snapshotter, snapshot_key FROM containers WHERE ns = ? AND id = ?"));
  BERTH_ASSIGN_OR_RETURN(const bool found, row.Bind(object.ns, object.name).Step());
  if (found && !row.ColumnText(0).empty()) {
    visit({ObjectKind::kSnapshot, object.ns,
           SnapshotObjectName(row.ColumnText(0), row.ColumnText(1))});
  }
  return absl::OkStatus();
}

// Containers are roots: nobody but their owner deletes them.
absl::StatusOr<std::vector<ObjectId>> ContainerStore::RemoveRecords(sqlite::Connection&,
                                                                    absl::Span<const ObjectId>) {
  return std::vector<ObjectId>{};
}
absl::Status ContainerStore::RemoveData(absl::Span<const ObjectId>) { return absl::OkStatus(); }

}  // namespace berth::metadata
