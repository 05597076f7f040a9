// The one schema of metadata.db. docs/formats/metadata.md describes every table.
//
// Each store adds its tables to the list of schema.cc. Additive changes get a new minor version;
// see base/sqlite/migration.h for the rules. Thread-safe function.
#ifndef BERTH_SERVER_METADATA_SCHEMA_H_
#define BERTH_SERVER_METADATA_SCHEMA_H_

#include "base/sqlite/migration.h"

namespace berth::metadata {

const sqlite::Migrations& SchemaMigrations();

// Of a row of `containers`: its record holds the label of the restart monitor. An index has these
// rows, and serves a query whose WHERE says exactly this.
inline constexpr char kHasRestartStatus[] =
    "instr(record, CAST('containerd.io/restart.status' AS BLOB)) > 0";

}  // namespace berth::metadata

#endif  // BERTH_SERVER_METADATA_SCHEMA_H_
