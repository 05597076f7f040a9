#include "server/metadata/lease_store.h"

#include <sys/random.h>

#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "base/digest/digest.h"
#include "base/status/check.h"
#include "base/status/status_macros.h"
#include "server/filter/filter.h"
#include "server/metadata/gc_expiry.h"
#include "server/metadata/gc_labels.h"
#include "server/metadata/lease_table.h"
#include "server/metadata/namespace_table.h"
#include "server/metadata/record.h"

namespace berth::metadata {
namespace {

using Lease = LeaseStore::Lease;
using Resource = LeaseStore::Resource;

constexpr char kSnapshotResourcePrefix[] = "snapshots/";

absl::Status NotFound(absl::string_view id) {
  return absl::NotFoundError(absl::StrCat("lease \"", id, "\": not found"));
}

std::optional<std::string> FieldOf(const Lease& lease, const std::vector<std::string>& path) {
  if (path[0] == "id") return lease.id();
  if (path[0] == "labels") return FindLabel(lease.labels(), absl::MakeConstSpan(path).subspan(1));
  return std::nullopt;
}

// Unique by its randomness; the time in front makes lists read in order of creation.
std::string GenerateLeaseId() {
  unsigned char bytes[12] = {};
  // Never short or interrupted for so few bytes once the pool is initialised.
  BERTH_CHECK(::getrandom(bytes, sizeof(bytes), 0) == sizeof(bytes));
  return absl::StrCat(absl::GetCurrentTimeNanos(), "-",
                      absl::BytesToHexString(
                          absl::string_view(reinterpret_cast<const char*>(bytes), sizeof(bytes))));
}

absl::Status ValidateResource(const Resource& resource) {
  const std::string& type = resource.type();
  if (resource.id().empty()) {
    return absl::InvalidArgumentError(absl::StrCat("resource of type \"", type, "\" needs an id"));
  }
  if (type == kContentResource) {
    BERTH_RETURN_IF_ERROR(Digest::Parse(resource.id())) << "invalid content resource id";
    return absl::OkStatus();
  }
  if (type == kIngestResource || type == kImageResource) return absl::OkStatus();
  const absl::string_view family = absl::string_view(type).substr(0, type.find('/'));
  if (family == "snapshots") {
    absl::string_view snapshotter = type;
    if (absl::ConsumePrefix(&snapshotter, kSnapshotResourcePrefix) && !snapshotter.empty() &&
        !absl::StrContains(snapshotter, '/')) {
      return absl::OkStatus();
    }
    return absl::InvalidArgumentError(absl::StrCat("invalid snapshot resource type \"", type,
                                                   "\", expected snapshots/<snapshotter>"));
  }
  if (family == kContentResource || family == kIngestResource || family == kImageResource) {
    return absl::InvalidArgumentError(absl::StrCat("invalid resource type \"", type, "\""));
  }
  return absl::UnimplementedError(absl::StrCat(
      "resource type \"", type,
      "\" not supported yet: a lease holds content, ingests, images and snapshots/<snapshotter>"));
}

absl::Status RequireLease(sqlite::Connection& connection, const Caller& caller,
                          absl::string_view id) {
  BERTH_ASSIGN_OR_RETURN(sqlite::Statement row,
                         connection.Prepare("SELECT 1 FROM leases WHERE ns = ? AND id = ?"));
  BERTH_ASSIGN_OR_RETURN(const bool found, row.Bind(caller.ns, id).Step());
  return found ? absl::OkStatus() : NotFound(id);
}

absl::Status Erase(sqlite::Connection& connection, const ObjectId& object) {
  BERTH_RETURN_IF_ERROR(
      connection.Run("DELETE FROM leases WHERE ns = ? AND id = ?", object.ns, object.name));
  if (connection.Changes() == 0) return NotFound(object.name);
  return RemoveGcLabels(connection, object);
}

// The object that a lease's resource stands for.
ObjectId ObjectOfResource(absl::string_view ns, absl::string_view type, absl::string_view id) {
  ObjectId object{ObjectKind::kContent, std::string(ns), std::string(id)};
  if (type == kIngestResource) object.kind = ObjectKind::kIngest;
  if (type == kImageResource) object.kind = ObjectKind::kImage;
  if (absl::ConsumePrefix(&type, kSnapshotResourcePrefix)) {
    object.kind = ObjectKind::kSnapshot;
    object.name = SnapshotObjectName(type, id);
  }
  return object;
}

}  // namespace

absl::StatusOr<Lease> LeaseStore::Create(const Caller& caller, std::string id,
                                         const Labels& labels) {
  BERTH_RETURN_IF_ERROR(ValidateLabels(labels)) << "lease labels";
  if (id.empty()) id = GenerateLeaseId();
  Lease lease;
  lease.set_id(id);
  *lease.mutable_labels() = labels;
  DropEmptyLabels(*lease.mutable_labels());
  *lease.mutable_created_at() = ToTimestamp(absl::Now());
  absl::Status status = database_.Write(
      sqlite::WriteMode::kDurable, [&](sqlite::Connection& connection) -> absl::Status {
        BERTH_RETURN_IF_ERROR(EnsureNamespace(connection, caller.ns));
        BERTH_RETURN_IF_ERROR(connection.Run("INSERT INTO leases (ns, id, record) VALUES (?, ?, ?)",
                                             caller.ns, id,
                                             sqlite::Blob{lease.SerializeAsString()}));
        return SetGcLabels(connection, {ObjectKind::kLease, caller.ns, id}, lease.labels(),
                           ObjectAge::kNewObject);
      });
  if (absl::IsAlreadyExists(status)) {
    return absl::AlreadyExistsError(absl::StrCat("lease \"", id, "\": already exists"));
  }
  BERTH_RETURN_IF_ERROR(status) << "create lease \"" << id << "\"";
  Tell(Change::kAdded);
  return lease;
}

absl::Status LeaseStore::Delete(const Caller& caller, absl::string_view id) {
  BERTH_RETURN_IF_ERROR(
      database_.Write(sqlite::WriteMode::kDurable, [&](sqlite::Connection& connection) {
        return Erase(connection, {ObjectKind::kLease, caller.ns, std::string(id)});
      }));
  Tell(Change::kReleased);
  return absl::OkStatus();
}

absl::StatusOr<std::vector<Lease>> LeaseStore::List(const Caller& caller,
                                                    absl::Span<const std::string> filters) {
  BERTH_ASSIGN_OR_RETURN(const Filter filter, Filter::Compile(filters));
  std::vector<Lease> all;
  BERTH_RETURN_IF_ERROR(database_.Read([&](sqlite::Connection& connection) -> absl::Status {
    BERTH_ASSIGN_OR_RETURN(
        sqlite::Statement row,
        connection.Prepare("SELECT id, record FROM leases WHERE ns = ? ORDER BY id"));
    row.Bind(caller.ns);
    while (true) {
      BERTH_ASSIGN_OR_RETURN(const bool more, row.Step());
      if (!more) return absl::OkStatus();
      BERTH_ASSIGN_OR_RETURN(
          Lease lease,
          ParseRecord<Lease>(row.ColumnBlob(1), absl::StrCat("lease \"", row.ColumnText(0), "\"")));
      if (filter.Matches([&](const auto& path) { return FieldOf(lease, path); })) {
        all.push_back(std::move(lease));
      }
    }
  }));
  return all;
}

absl::Status LeaseStore::AddResource(const Caller& caller, absl::string_view id,
                                     const Resource& resource) {
  BERTH_RETURN_IF_ERROR(database_.Write(
      sqlite::WriteMode::kDurable, [&](sqlite::Connection& connection) -> absl::Status {
        BERTH_RETURN_IF_ERROR(RequireLease(connection, caller, id));
        BERTH_RETURN_IF_ERROR(ValidateResource(resource)) << "lease \"" << id << "\"";
        return AddToLease(connection, {caller.ns, std::string(id)}, resource.type(), resource.id());
      }));
  Tell(Change::kAdded);
  return absl::OkStatus();
}

absl::Status LeaseStore::DeleteResource(const Caller& caller, absl::string_view id,
                                        const Resource& resource) {
  BERTH_RETURN_IF_ERROR(database_.Write(
      sqlite::WriteMode::kDurable, [&](sqlite::Connection& connection) -> absl::Status {
        BERTH_RETURN_IF_ERROR(RequireLease(connection, caller, id));
        BERTH_RETURN_IF_ERROR(ValidateResource(resource)) << "lease \"" << id << "\"";
        return RemoveFromLease(connection, {caller.ns, std::string(id)}, resource.type(),
                               resource.id());
      }));
  Tell(Change::kReleased);
  return absl::OkStatus();
}

absl::StatusOr<std::vector<Resource>> LeaseStore::ListResources(const Caller& caller,
                                                                absl::string_view id) {
  std::vector<Resource> all;
  BERTH_RETURN_IF_ERROR(database_.Read([&](sqlite::Connection& connection) -> absl::Status {
    BERTH_RETURN_IF_ERROR(RequireLease(connection, caller, id));
    BERTH_ASSIGN_OR_RETURN(sqlite::Statement row,
                           connection.Prepare("SELECT type, id FROM lease_resources "
                                              "WHERE ns = ? AND lease = ? ORDER BY type, id"));
    row.Bind(caller.ns, id);
    while (true) {
      BERTH_ASSIGN_OR_RETURN(const bool more, row.Step());
      if (!more) return absl::OkStatus();
      Resource& resource = all.emplace_back();
      resource.set_type(std::string(row.ColumnText(0)));
      resource.set_id(std::string(row.ColumnText(1)));
    }
  }));
  return all;
}

absl::Status LeaseStore::ForEach(sqlite::Connection& connection, absl::Time now,
                                 absl::FunctionRef<void(ObjectId, Rooted)> visit) {
  return ForEachExpiring(connection, ObjectKind::kLease, "leases", "id", now, visit);
}

absl::Status LeaseStore::References(sqlite::Connection& connection, const ObjectId& object,
                                    absl::FunctionRef<void(ObjectId)> visit) {
  BERTH_ASSIGN_OR_RETURN(
      sqlite::Statement row,
      connection.Prepare("SELECT type, id FROM lease_resources WHERE ns = ? AND lease = ?"));
  row.Bind(object.ns, object.name);
  while (true) {
    BERTH_ASSIGN_OR_RETURN(const bool more, row.Step());
    if (!more) return absl::OkStatus();
    visit(ObjectOfResource(object.ns, row.ColumnText(0), row.ColumnText(1)));
  }
}

absl::StatusOr<std::vector<ObjectId>> LeaseStore::RemoveRecords(
    sqlite::Connection& connection, absl::Span<const ObjectId> objects) {
  std::vector<ObjectId> removed;
  for (const ObjectId& object : objects) {
    const absl::Status erased = Erase(connection, object);
    if (absl::IsNotFound(erased)) continue;
    BERTH_RETURN_IF_ERROR(erased) << "collect lease \"" << object.name << "\"";
    removed.push_back(object);
  }
  return removed;
}

absl::Status LeaseStore::RemoveData(absl::Span<const ObjectId>) { return absl::OkStatus(); }

}  // namespace berth::metadata
