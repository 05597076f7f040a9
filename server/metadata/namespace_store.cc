#include "server/metadata/namespace_store.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "base/status/status_macros.h"
#include "server/filter/filter.h"
#include "server/metadata/identifiers.h"
#include "server/metadata/labels.h"
#include "server/metadata/namespace_table.h"

namespace berth::metadata {
namespace {

using Namespace = NamespaceStore::Namespace;

std::optional<std::string> FieldOf(const Namespace& ns, const std::vector<std::string>& path) {
  if (path[0] == "name") return ns.name();
  if (path[0] == "labels") return FindLabel(ns.labels(), absl::MakeConstSpan(path).subspan(1));
  return std::nullopt;
}

absl::Status WriteLabels(sqlite::Connection& connection, const Namespace& ns) {
  return connection.Run("UPDATE namespaces SET labels = ? WHERE name = ?",
                        EncodeLabels(ns.labels()), ns.name());
}

absl::StatusOr<bool> FindNamespace(sqlite::Connection& connection, absl::string_view name,
                                   Labels& labels) {
  BERTH_ASSIGN_OR_RETURN(sqlite::Statement row,
                         connection.Prepare("SELECT labels FROM namespaces WHERE name = ?"));
  BERTH_ASSIGN_OR_RETURN(const bool found, row.Bind(name).Step());
  if (!found) return false;
  BERTH_ASSIGN_OR_RETURN(labels, DecodeLabels(row.ColumnText(0)),
                         _ << "namespace \"" << name << "\"");
  return true;
}

// Tables whose rows keep a namespace, with the words for them. They refer to namespaces (name), so
// one that is missing here still prevents the deletion, with a less helpful message.
constexpr std::pair<absl::string_view, absl::string_view> kHolders[] = {
    {"images", "images"},
    {"blobs", "blobs"},
    {"containers", "containers"},
    {"snapshots", "snapshots"},
};

absl::Status CheckEmpty(sqlite::Connection& connection, absl::string_view name) {
  std::vector<absl::string_view> held;
  for (const auto& [table, words] : kHolders) {
    {
      BERTH_ASSIGN_OR_RETURN(
          sqlite::Statement exists,
          connection.Prepare("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?"));
      BERTH_ASSIGN_OR_RETURN(const bool found, exists.Bind(table).Step());
      if (!found) continue;
    }
    BERTH_ASSIGN_OR_RETURN(
        sqlite::Statement row,
        connection.Prepare(absl::StrCat("SELECT 1 FROM ", table, " WHERE ns = ? LIMIT 1")));
    BERTH_ASSIGN_OR_RETURN(const bool found, row.Bind(name).Step());
    if (found) held.push_back(words);
  }
  if (held.empty()) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("namespace \"", name, "\" must be empty, but it still has ",
                   absl::StrJoin(held, ", "), ": remove them first"));
}

}  // namespace

absl::StatusOr<Namespace> NamespaceStore::Get(absl::string_view name) {
  Namespace ns;
  ns.set_name(std::string(name));
  BERTH_RETURN_IF_ERROR(database_.Read([&](sqlite::Connection& connection) {
    return FindNamespace(connection, name, *ns.mutable_labels()).status();
  }));
  return ns;
}

absl::StatusOr<std::vector<Namespace>> NamespaceStore::List(absl::string_view filter_text) {
  BERTH_ASSIGN_OR_RETURN(const Filter filter, Filter::Compile(filter_text));
  std::vector<Namespace> all;
  BERTH_RETURN_IF_ERROR(database_.Read([&](sqlite::Connection& connection) -> absl::Status {
    BERTH_ASSIGN_OR_RETURN(sqlite::Statement row,
                           connection.Prepare("SELECT name, labels FROM namespaces ORDER BY name"));
    while (true) {
      BERTH_ASSIGN_OR_RETURN(const bool more, row.Step());
      if (!more) return absl::OkStatus();
      Namespace ns;
      ns.set_name(std::string(row.ColumnText(0)));
      BERTH_ASSIGN_OR_RETURN(*ns.mutable_labels(), DecodeLabels(row.ColumnText(1)),
                             _ << "namespace \"" << ns.name() << "\"");
      if (filter.Matches([&](const auto& path) { return FieldOf(ns, path); })) {
        all.push_back(std::move(ns));
      }
    }
  }));
  return all;
}

absl::StatusOr<Namespace> NamespaceStore::Create(Namespace ns) {
  BERTH_RETURN_IF_ERROR(ValidateIdentifier(ns.name())) << "namespace";
  BERTH_RETURN_IF_ERROR(ValidateLabels(ns.labels())) << "namespace \"" << ns.name() << "\"";
  DropEmptyLabels(*ns.mutable_labels());
  const absl::Status status =
      database_.Write(sqlite::WriteMode::kDurable, [&](sqlite::Connection& connection) {
        return connection.Run("INSERT INTO namespaces (name, labels) VALUES (?, ?)", ns.name(),
                              EncodeLabels(ns.labels()));
      });
  if (absl::IsAlreadyExists(status)) {
    return absl::AlreadyExistsError(absl::StrCat("namespace \"", ns.name(), "\": already exists"));
  }
  BERTH_RETURN_IF_ERROR(status) << "create namespace \"" << ns.name() << "\"";
  return ns;
}

absl::StatusOr<Namespace> NamespaceStore::Update(const Namespace& ns,
                                                 absl::Span<const std::string> mask) {
  BERTH_RETURN_IF_ERROR(ValidateLabels(ns.labels())) << "namespace \"" << ns.name() << "\"";
  for (const std::string& path : mask) {
    if (!absl::StartsWith(path, "labels.")) {
      return absl::InvalidArgumentError(absl::StrCat("cannot update \"", path,
                                                     "\" field of namespace \"", ns.name(),
                                                     "\": only labels.<key> can be named"));
    }
  }
  Namespace updated;
  updated.set_name(ns.name());
  BERTH_RETURN_IF_ERROR(
      database_.Write(sqlite::WriteMode::kDurable,
                      [&](sqlite::Connection& connection) -> absl::Status {
                        Labels& labels = *updated.mutable_labels();
                        BERTH_RETURN_IF_ERROR(EnsureNamespace(connection, ns.name()));
                        BERTH_RETURN_IF_ERROR(FindNamespace(connection, ns.name(), labels));
                        if (mask.empty()) labels = ns.labels();
                        for (const absl::string_view path : mask) {
                          ApplyLabelPath(ns.labels(), absl::StripPrefix(path, "labels."), labels);
                        }
                        DropEmptyLabels(labels);
                        return WriteLabels(connection, updated);
                      }))
      << "update namespace \"" << ns.name() << "\"";
  return updated;
}

absl::Status NamespaceStore::Delete(absl::string_view name) {
  return database_.Write(
      sqlite::WriteMode::kDurable, [&](sqlite::Connection& connection) -> absl::Status {
        BERTH_RETURN_IF_ERROR(CheckEmpty(connection, name));
        BERTH_RETURN_IF_ERROR(connection.Run("DELETE FROM namespaces WHERE name = ?", name))
            << "delete namespace \"" << name << "\"";
        if (connection.Changes() == 0) {
          return absl::NotFoundError(absl::StrCat("namespace \"", name, "\": not found"));
        }
        return connection.Run("DELETE FROM gc_labels WHERE ns = ?", name);
      });
}

}  // namespace berth::metadata
