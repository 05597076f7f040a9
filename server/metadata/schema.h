// The one schema of metadata.db. docs/formats/metadata.md describes every table.
//
// Each store adds its tables to the list of schema.cc. Additive changes get a new minor version;
// see base/sqlite/migration.h for the rules. Thread-safe function.
#ifndef BERTH_SERVER_METADATA_SCHEMA_H_
#define BERTH_SERVER_METADATA_SCHEMA_H_

#include "base/sqlite/migration.h"

namespace berth::metadata {

const sqlite::Migrations& SchemaMigrations();

}  // namespace berth::metadata

#endif  // BERTH_SERVER_METADATA_SCHEMA_H_
