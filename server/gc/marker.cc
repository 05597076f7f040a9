#include "server/gc/marker.h"

#include <utility>

#include "base/status/status_macros.h"
#include "server/gc/label_reference.h"
#include "server/metadata/gc_expiry.h"

namespace berth::gc {

using metadata::Collectable;
using metadata::ObjectId;
using metadata::ObjectKind;
using metadata::Rooted;

Marker::Marker(absl::Span<Collectable* const> stores) : stores_(stores.begin(), stores.end()) {
  for (Collectable* store : stores) by_kind_[store->kind()] = store;
}

absl::Status Marker::MarkAll(sqlite::Connection& connection, absl::Time now) {
  for (Collectable* store : stores_) {
    BERTH_RETURN_IF_ERROR(store->ForEach(connection, now, [&](ObjectId object, Rooted rooted) {
      if (rooted == Rooted::kYes) roots_.push_back(object);
      objects_.push_back(std::move(object));
    })) << "list the objects";
  }
  BERTH_RETURN_IF_ERROR(LoadLabels(connection)) << "read the gc labels";
  for (const ObjectId& root : roots_) {
    Reached(root, flat_leases_.contains(root) ? Reach::kByNature : Reach::kAll);
  }
  return Follow(connection);
}

// The labels that matter before it is known what is alive: roots, back references, flat leases.
absl::Status Marker::LoadLabels(sqlite::Connection& connection) {
  BERTH_ASSIGN_OR_RETURN(
      sqlite::Statement row,
      connection.Prepare("SELECT kind, ns, name, label, value FROM gc_labels "
                         "WHERE label = ? OR label = ? OR label GLOB 'containerd.io/gc.bref.*'"));
  row.Bind(kRootLabel, metadata::kFlatLabel);
  while (true) {
    BERTH_ASSIGN_OR_RETURN(const bool more, row.Step());
    if (!more) return absl::OkStatus();
    ObjectId object{static_cast<ObjectKind>(row.ColumnInt64(0)), std::string(row.ColumnText(1)),
                    std::string(row.ColumnText(2))};
    const absl::string_view label = row.ColumnText(3);
    if (label == kRootLabel) {
      roots_.push_back(std::move(object));
    } else if (label == metadata::kFlatLabel) {
      if (object.kind == ObjectKind::kLease) flat_leases_.insert(std::move(object));
    } else if (const auto keeper = BackReference(object.ns, label, row.ColumnText(4))) {
      kept_by_[*keeper].push_back(std::move(object));
    }
  }
}

absl::Status Marker::MarkChanged(sqlite::Connection& connection,
                                 absl::Span<const ObjectId> changed) {
  for (const ObjectId& object : changed) {
    marks_[object] = Reach::kAll;
    pending_.emplace_back(object, Reach::kAll);  // again, even if it was followed before
  }
  return Follow(connection);
}

std::vector<ObjectId> Marker::Dead() const {
  std::vector<ObjectId> dead;
  for (const ObjectId& object : objects_) {
    if (!IsAlive(object)) dead.push_back(object);
  }
  return dead;
}

void Marker::Reached(const ObjectId& object, Reach reach) {
  const auto [mark, is_new] = marks_.try_emplace(object, reach);
  if (!is_new) {
    if (mark->second >= reach) return;
    mark->second = reach;
  }
  pending_.emplace_back(object, reach);
}

absl::Status Marker::Follow(sqlite::Connection& connection) {
  while (!pending_.empty()) {
    const auto [object, reach] = std::move(pending_.back());
    pending_.pop_back();
    BERTH_RETURN_IF_ERROR(FollowOne(connection, object, reach)) << "mark \"" << object.name << "\"";
  }
  return absl::OkStatus();
}

absl::Status Marker::FollowOne(sqlite::Connection& connection, const ObjectId& object,
                               Reach reach) {
  const auto store = by_kind_.find(object.kind);
  if (store != by_kind_.end()) {
    BERTH_RETURN_IF_ERROR(store->second->References(
        connection, object, [&](ObjectId reference) { Reached(reference, reach); }));
  }
  if (reach == Reach::kByNature) return absl::OkStatus();
  const auto kept = kept_by_.find(object);
  if (kept != kept_by_.end()) {
    for (const ObjectId& reference : kept->second) Reached(reference, Reach::kAll);
  }
  BERTH_ASSIGN_OR_RETURN(
      sqlite::Statement row,
      connection.Prepare(
          "SELECT label, value FROM gc_labels WHERE kind = ? AND ns = ? AND name = ?"));
  row.Bind(static_cast<int>(object.kind), object.ns, object.name);
  while (true) {
    BERTH_ASSIGN_OR_RETURN(const bool more, row.Step());
    if (!more) return absl::OkStatus();
    const auto reference = ForwardReference(object.ns, row.ColumnText(0), row.ColumnText(1));
    if (reference.has_value()) Reached(*reference, Reach::kAll);
  }
}

}  // namespace berth::gc
