#include "server/gc/collector.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/time/clock.h"
#include "base/status/status_macros.h"
#include "proto/containerd/events/image.pb.h"
#include "proto/containerd/events/snapshot.pb.h"
#include "server/metadata/gc_expiry.h"

namespace berth::gc {
namespace {

using metadata::Collectable;
using metadata::ObjectId;
using metadata::ObjectKind;

// Objects per write transaction: a step takes a fraction of a millisecond, so writers hardly
// notice, also where the processor is taken away in the middle of one.
constexpr size_t kStepObjects = 8;

void KeepFirst(absl::Status& first, absl::Status status) {
  if (first.ok()) first = std::move(status);
}

absl::StatusOr<absl::Time> NextExpiry(sqlite::Connection& connection, absl::Time now) {
  BERTH_ASSIGN_OR_RETURN(sqlite::Statement row,
                         connection.Prepare("SELECT value FROM gc_labels WHERE label = ?"));
  row.Bind(metadata::kExpireLabel);
  absl::Time next = absl::InfiniteFuture();
  while (true) {
    BERTH_ASSIGN_OR_RETURN(const bool more, row.Step());
    if (!more) return next;
    const absl::Time expiry = metadata::ParseExpiry(row.ColumnText(0));
    if (expiry > now) next = std::min(next, expiry);
  }
}

// Holders before what they hold, so that a crash between two steps leaves no name of nothing.
int RemovalRank(ObjectKind kind) {
  switch (kind) {
    case ObjectKind::kLease:
      return 0;
    case ObjectKind::kImage:
      return 1;
    case ObjectKind::kContainer:
      return 2;
    case ObjectKind::kSnapshot:
      return 3;
    case ObjectKind::kIngest:
      return 4;
    case ObjectKind::kContent:
      return 5;
  }
  return 6;
}

// Sorts so that children come before their parents: all ancestors of something dead that are
// themselves dead lie in `dead`.
absl::Status OrderForRemoval(sqlite::Connection& connection,
                             const absl::flat_hash_map<ObjectKind, Collectable*>& stores,
                             std::vector<ObjectId>& dead) {
  absl::flat_hash_map<ObjectId, ObjectId> parents;
  const auto snapshots = stores.find(ObjectKind::kSnapshot);
  for (const ObjectId& object : dead) {
    if (object.kind != ObjectKind::kSnapshot || snapshots == stores.end()) continue;
    BERTH_RETURN_IF_ERROR(snapshots->second->References(
        connection, object, [&](ObjectId parent) { parents.emplace(object, std::move(parent)); }));
  }
  absl::flat_hash_map<ObjectId, int> depths;
  for (const ObjectId& object : dead) {
    std::vector<const ObjectId*> chain;
    const ObjectId* at = &object;
    while (!depths.contains(*at)) {
      chain.push_back(at);
      const auto parent = parents.find(*at);
      // A chain longer than all objects would be a cycle in a damaged table.
      if (parent == parents.end() || chain.size() > dead.size()) break;
      at = &parent->second;
    }
    int depth = depths.contains(*at) ? depths[*at] : -1;
    for (auto link = chain.rbegin(); link != chain.rend(); ++link) depths[**link] = ++depth;
  }
  std::stable_sort(dead.begin(), dead.end(), [&](const ObjectId& a, const ObjectId& b) {
    if (a.kind != b.kind) return RemovalRank(a.kind) < RemovalRank(b.kind);
    if (depths[a] != depths[b]) return depths[a] > depths[b];
    // Neighbours in the tables: a step then changes a few pages instead of some for each object.
    return std::tie(a.ns, a.name) < std::tie(b.ns, b.name);
  });
  return absl::OkStatus();
}

absl::StatusOr<std::vector<ObjectId>> TakeChanged(sqlite::Connection& connection) {
  std::vector<ObjectId> changed;
  BERTH_ASSIGN_OR_RETURN(sqlite::Statement row,
                         connection.Prepare("SELECT DISTINCT kind, ns, name FROM gc_changed"));
  while (true) {
    BERTH_ASSIGN_OR_RETURN(const bool more, row.Step());
    if (!more) break;
    changed.push_back({static_cast<ObjectKind>(row.ColumnInt64(0)), std::string(row.ColumnText(1)),
                       std::string(row.ColumnText(2))});
  }
  row.Reset();
  if (!changed.empty()) {
    BERTH_RETURN_IF_ERROR(connection.Run("DELETE FROM gc_changed"));
  }
  return changed;
}

}  // namespace

absl::StatusOr<CollectionResult> Collector::Collect(absl::Time now) {
  const absl::Time started = absl::Now();
  CollectionResult result;
  Marker marker(stores_);
  std::vector<ObjectId> dead;
  absl::flat_hash_map<ObjectKind, Collectable*> by_kind;
  for (Collectable* store : stores_) by_kind[store->kind()] = store;

  BERTH_RETURN_IF_ERROR(Begin()) << "begin a garbage collection";
  absl::Status status = database_.Read([&](sqlite::Connection& connection) -> absl::Status {
    BERTH_RETURN_IF_ERROR(marker.MarkAll(connection, now));
    dead = marker.Dead();
    BERTH_ASSIGN_OR_RETURN(result.next_expiry, NextExpiry(connection, now));
    return OrderForRemoval(connection, by_kind, dead);
  });
  std::vector<ObjectId> removed;
  if (status.ok()) status = RemoveDead(dead, marker, removed);
  const absl::Status ended =
      database_.Write(sqlite::WriteMode::kDelayed, [](sqlite::Connection& connection) {
        return connection.Run("UPDATE gc_state SET collecting = 0");
      });
  KeepFirst(status, ended);
  if (!removed.empty()) {
    // Nothing may lose its data while a power cut could still bring its record back.
    const absl::Status synced = database_.Sync();
    KeepFirst(status, synced.ok() ? RemoveData(removed) : synced);
    Announce(removed);
  }
  BERTH_RETURN_IF_ERROR(status) << "collect garbage";
  result.removed = static_cast<int>(removed.size());
  result.duration = absl::Now() - started;
  return result;
}

absl::Status Collector::Begin() {
  return database_.Write(sqlite::WriteMode::kDelayed,
                         [](sqlite::Connection& connection) -> absl::Status {
                           BERTH_RETURN_IF_ERROR(connection.Run("DELETE FROM gc_changed"));
                           return connection.Run("UPDATE gc_state SET collecting = 1");
                         });
}

absl::Status Collector::RemoveDead(const std::vector<ObjectId>& dead, Marker& marker,
                                   std::vector<ObjectId>& removed) {
  absl::Status first;
  for (size_t begin = 0; begin < dead.size();) {
    // A step holds one kind.
    size_t end = begin;
    while (end < dead.size() && end - begin < kStepObjects && dead[end].kind == dead[begin].kind) {
      ++end;
    }
    KeepFirst(first,
              RemoveStep(absl::MakeConstSpan(dead).subspan(begin, end - begin), marker, removed));
    begin = end;
  }
  return first;
}

absl::Status Collector::RemoveStep(absl::Span<const ObjectId> step, Marker& marker,
                                   std::vector<ObjectId>& removed) {
  Collectable* store = nullptr;
  for (Collectable* candidate : stores_) {
    if (candidate->kind() == step.front().kind) store = candidate;
  }
  std::vector<ObjectId> gone;
  BERTH_RETURN_IF_ERROR(database_.Write(
      sqlite::WriteMode::kDelayed, [&](sqlite::Connection& connection) -> absl::Status {
        BERTH_ASSIGN_OR_RETURN(const std::vector<ObjectId> changed, TakeChanged(connection));
        BERTH_RETURN_IF_ERROR(marker.MarkChanged(connection, changed));
        std::vector<ObjectId> still_dead;
        for (const ObjectId& object : step) {
          if (!marker.IsAlive(object)) still_dead.push_back(object);
        }
        if (still_dead.empty()) return absl::OkStatus();
        BERTH_ASSIGN_OR_RETURN(gone, store->RemoveRecords(connection, still_dead));
        return absl::OkStatus();
      }));
  removed.insert(removed.end(), gone.begin(), gone.end());
  return absl::OkStatus();
}

absl::Status Collector::RemoveData(const std::vector<ObjectId>& removed) {
  absl::Status first;
  for (Collectable* store : stores_) {
    std::vector<ObjectId> of_kind;
    for (const ObjectId& object : removed) {
      if (object.kind == store->kind()) of_kind.push_back(object);
    }
    if (!of_kind.empty()) KeepFirst(first, store->RemoveData(of_kind));
  }
  return first;
}

void Collector::Announce(const std::vector<ObjectId>& removed) {
  for (const ObjectId& object : removed) {
    if (object.kind == ObjectKind::kSnapshot) {
      const auto [snapshotter, key] = metadata::SplitSnapshotObjectName(object.name);
      containerd::events::SnapshotRemove event;
      event.set_key(std::string(key));
      event.set_snapshotter(std::string(snapshotter));
      events_.Publish(object.ns, "/snapshot/remove", event);
    } else if (object.kind == ObjectKind::kImage) {
      containerd::services::images::v1::ImageDelete event;
      event.set_name(object.name);
      events_.Publish(object.ns, "/images/delete", event);
    }
  }
}

}  // namespace berth::gc
