#include "server/metadata/schema.h"

#include "absl/strings/str_cat.h"
#include "snapshotter/store/layer_table.h"

namespace berth::metadata {
namespace {

// Conventions: times are nanoseconds since 1970 UTC; `record` is the serialized protocol message,
// the columns beside it are what queries need; a foreign key without CASCADE keeps a namespace from
// being deleted while it holds such objects.

constexpr char kNamespaces[] = R"sql(
CREATE TABLE namespaces (
  name TEXT PRIMARY KEY,
  labels TEXT NOT NULL
) WITHOUT ROWID;
)sql";

constexpr char kContainers[] = R"sql(
CREATE TABLE containers (
  ns TEXT NOT NULL REFERENCES namespaces (name),
  id TEXT NOT NULL,
  snapshotter TEXT NOT NULL,
  snapshot_key TEXT NOT NULL,
  record BLOB NOT NULL,
  PRIMARY KEY (ns, id)
);
)sql";

constexpr char kImages[] = R"sql(
CREATE TABLE images (
  ns TEXT NOT NULL REFERENCES namespaces (name),
  name TEXT NOT NULL,
  target_digest TEXT NOT NULL,
  record BLOB NOT NULL,
  PRIMARY KEY (ns, name)
);
)sql";

// Of `parent`, NULL is none. A backend's own tables are snapshots::kLayerTableSchema.
constexpr char kSnapshots[] = R"sql(
CREATE TABLE snapshots (
  ns TEXT NOT NULL REFERENCES namespaces (name),
  snapshotter TEXT NOT NULL,
  key TEXT NOT NULL,
  parent TEXT,
  backend_key TEXT NOT NULL,
  record BLOB NOT NULL,
  PRIMARY KEY (ns, snapshotter, key),
  FOREIGN KEY (ns, snapshotter, parent) REFERENCES snapshots (ns, snapshotter, key)
);
CREATE INDEX snapshots_by_parent ON snapshots (ns, snapshotter, parent) WHERE parent IS NOT NULL;
CREATE INDEX snapshots_by_backend ON snapshots (snapshotter, backend_key);
CREATE TABLE snapshot_garbage (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  snapshotter TEXT NOT NULL,
  backend_key TEXT NOT NULL
);
)sql";

constexpr char kLeases[] = R"sql(
CREATE TABLE leases (
  ns TEXT NOT NULL REFERENCES namespaces (name) ON DELETE CASCADE,
  id TEXT NOT NULL,
  record BLOB NOT NULL,
  PRIMARY KEY (ns, id)
);
CREATE TABLE lease_resources (
  ns TEXT NOT NULL,
  lease TEXT NOT NULL,
  type TEXT NOT NULL,
  id TEXT NOT NULL,
  PRIMARY KEY (ns, lease, type, id),
  FOREIGN KEY (ns, lease) REFERENCES leases (ns, id) ON DELETE CASCADE
) WITHOUT ROWID;
)sql";

// Who may see which blob. The bytes are in content/blobs, once for all namespaces.
constexpr char kContent[] = R"sql(
CREATE TABLE blobs (
  ns TEXT NOT NULL REFERENCES namespaces (name),
  digest TEXT NOT NULL,
  record BLOB NOT NULL,
  PRIMARY KEY (ns, digest)
);
CREATE INDEX blobs_digest ON blobs (digest);
CREATE TABLE ingests (
  ns TEXT NOT NULL REFERENCES namespaces (name) ON DELETE CASCADE,
  ref TEXT NOT NULL,
  file TEXT NOT NULL UNIQUE,
  started_at INTEGER NOT NULL,
  total INTEGER NOT NULL,
  expected TEXT NOT NULL,
  shared TEXT NOT NULL,
  expires_at INTEGER NOT NULL,
  PRIMARY KEY (ns, ref)
);
)sql";

// Garbage collection. gc_state.collecting is 1 from before the mark until after the last removal;
// meanwhile every row that might give an object a new holder is reported in gc_changed.
constexpr char kGarbageCollection[] = R"sql(
CREATE TABLE gc_labels (
  kind INTEGER NOT NULL,
  ns TEXT NOT NULL,
  name TEXT NOT NULL,
  label TEXT NOT NULL,
  value TEXT NOT NULL,
  PRIMARY KEY (kind, ns, name, label)
) WITHOUT ROWID;
CREATE TABLE gc_state (
  only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
  collecting INTEGER NOT NULL
);
INSERT INTO gc_state (only_row, collecting) VALUES (1, 0);
CREATE TABLE gc_changed (kind INTEGER NOT NULL, ns TEXT NOT NULL, name TEXT NOT NULL);
)sql";

// AFTER `event` ON `table`: the object (kind, NEW.ns, `name`) has changed.
std::string ReportChanges(absl::string_view table, absl::string_view event, int kind,
                          absl::string_view name) {
  return absl::StrCat("CREATE TRIGGER gc_", table, "_", event, " AFTER ", event, " ON ", table,
                      " WHEN (SELECT collecting FROM gc_state)"
                      " BEGIN INSERT INTO gc_changed (kind, ns, name) VALUES (",
                      kind == 0 ? "NEW.kind" : absl::StrCat(kind), ", NEW.ns, ", name, "); END;\n");
}

std::string GarbageCollectionTriggers() {
  std::string sql;
  for (const absl::string_view event : {"INSERT", "UPDATE"}) {
    absl::StrAppend(&sql, ReportChanges("containers", event, 4, "NEW.id"),
                    ReportChanges("images", event, 3, "NEW.name"),
                    ReportChanges("leases", event, 5, "NEW.id"),
                    ReportChanges("blobs", event, 1, "NEW.digest"),
                    ReportChanges("ingests", event, 6, "NEW.ref"),
                    ReportChanges("snapshots", event, 2, "NEW.snapshotter || '/' || NEW.key"),
                    ReportChanges("gc_labels", event, 0, "NEW.name"));
  }
  absl::StrAppend(&sql, ReportChanges("lease_resources", "INSERT", 5, "NEW.lease"));
  return sql;
}

// The Docker-style engine: its containers' names, states and what lists show, and its volumes. A
// row of engine_containers comes before the container's record, to reserve the name, and goes with
// it.
constexpr char kEngine[] = R"sql(
CREATE TABLE engine_containers (
  ns TEXT NOT NULL REFERENCES namespaces (name) ON DELETE CASCADE,
  id TEXT NOT NULL,
  name TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  state BLOB NOT NULL,
  summary BLOB NOT NULL,
  PRIMARY KEY (ns, id),
  UNIQUE (ns, name)
);
CREATE TRIGGER engine_containers_go AFTER DELETE ON containers
  BEGIN DELETE FROM engine_containers WHERE ns = OLD.ns AND id = OLD.id; END;
CREATE TABLE engine_volumes (
  ns TEXT NOT NULL REFERENCES namespaces (name) ON DELETE CASCADE,
  name TEXT NOT NULL,
  directory TEXT NOT NULL UNIQUE,
  record BLOB NOT NULL,
  PRIMARY KEY (ns, name)
);
CREATE TABLE engine_volume_uses (
  ns TEXT NOT NULL,
  container TEXT NOT NULL,
  volume TEXT NOT NULL,
  PRIMARY KEY (ns, container, volume)
) WITHOUT ROWID;
CREATE TABLE engine_events (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  ns TEXT NOT NULL,
  time INTEGER NOT NULL,
  record BLOB NOT NULL
);
CREATE INDEX engine_volume_uses_by_volume ON engine_volume_uses (ns, volume);
CREATE TRIGGER engine_volume_uses_go AFTER DELETE ON engine_containers
  BEGIN DELETE FROM engine_volume_uses WHERE ns = OLD.ns AND container = OLD.id; END;
)sql";

std::string FirstSchema() {
  return absl::StrCat(kNamespaces, kContainers, kImages, kSnapshots, snapshots::kLayerTableSchema,
                      kLeases, kContent, kGarbageCollection, GarbageCollectionTriggers());
}

}  // namespace

const sqlite::Migrations& SchemaMigrations() {
  static const sqlite::Migrations* const kMigrations = new sqlite::Migrations{
      {{1, 0}, FirstSchema()},
      {{1, 1}, kEngine},
      {{1, 2},
       absl::StrCat("CREATE INDEX containers_monitored ON containers (ns, id) WHERE ",
                    kHasRestartStatus, ";")},
  };
  return *kMigrations;
}

}  // namespace berth::metadata
