#include "server/metadata/image_store.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/digest/digest.h"
#include "base/status/status_macros.h"
#include "server/filter/filter.h"
#include "server/metadata/gc_expiry.h"
#include "server/metadata/gc_labels.h"
#include "server/metadata/labels.h"
#include "server/metadata/lease_table.h"
#include "server/metadata/namespace_table.h"
#include "server/metadata/record.h"

namespace berth::metadata {
namespace {

using Image = ImageStore::Image;

std::string Quoted(absl::string_view name) { return absl::StrCat("image \"", name, "\""); }

absl::Status NotFound(absl::string_view name) {
  return absl::NotFoundError(absl::StrCat(Quoted(name), ": not found"));
}

std::optional<std::string> PresentUnlessEmpty(const std::string& value) {
  if (value.empty()) return std::nullopt;
  return value;
}

std::optional<std::string> FieldOf(const Image& image, const std::vector<std::string>& path) {
  const std::string& first = path[0];
  if (first == "name") return PresentUnlessEmpty(image.name());
  if (first == "target" && path.size() > 1) {
    if (path[1] == "digest") return PresentUnlessEmpty(image.target().digest());
    if (path[1] == "mediatype") return PresentUnlessEmpty(image.target().media_type());
    return std::nullopt;
  }
  const auto rest = absl::MakeConstSpan(path).subspan(1);
  if (first == "labels") return FindLabel(image.labels(), rest);
  if (first == "annotations") return FindLabel(image.target().annotations(), rest);
  return std::nullopt;
}

absl::Status Validate(const Image& image) {
  if (image.name().empty()) return absl::InvalidArgumentError("image name must not be empty");
  BERTH_RETURN_IF_ERROR(ValidateLabels(image.labels())) << "image.Labels";
  BERTH_RETURN_IF_ERROR(Digest::Parse(image.target().digest()))
      << "Target.Digest of " << Quoted(image.name());
  if (image.target().size() <= 0) {
    return absl::InvalidArgumentError(absl::StrCat("Target.Size of ", Quoted(image.name()),
                                                   " must be greater than zero, is ",
                                                   image.target().size()));
  }
  if (image.target().media_type().empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("Target.MediaType of ", Quoted(image.name()), " must be set"));
  }
  return absl::OkStatus();
}

absl::Status ApplyPath(const Image& source, absl::string_view path, Image& target) {
  absl::string_view key = path;
  if (absl::ConsumePrefix(&key, "labels.")) {
    ApplyLabelPath(source.labels(), key, *target.mutable_labels());
  } else if (absl::ConsumePrefix(&key, "annotations.")) {
    ApplyLabelPath(source.target().annotations(), key,
                   *target.mutable_target()->mutable_annotations());
  } else if (path == "labels") {
    *target.mutable_labels() = source.labels();
  } else if (path == "target") {
    *target.mutable_target() = source.target();
  } else if (path == "annotations") {
    *target.mutable_target()->mutable_annotations() = source.target().annotations();
  } else {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot update \"", path, "\" field of ", Quoted(source.name())));
  }
  return absl::OkStatus();
}

absl::StatusOr<Image> Find(sqlite::Connection& connection, const Caller& caller,
                           absl::string_view name) {
  BERTH_ASSIGN_OR_RETURN(sqlite::Statement row,
                         connection.Prepare("SELECT record FROM images WHERE ns = ? AND name = ?"));
  BERTH_ASSIGN_OR_RETURN(const bool found, row.Bind(caller.ns, name).Step());
  if (!found) return NotFound(name);
  return ParseRecord<Image>(row.ColumnBlob(0), Quoted(name));
}

absl::Status Erase(sqlite::Connection& connection, const ObjectId& object) {
  BERTH_RETURN_IF_ERROR(
      connection.Run("DELETE FROM images WHERE ns = ? AND name = ?", object.ns, object.name));
  if (connection.Changes() == 0) return NotFound(object.name);
  return RemoveGcLabels(connection, object);
}

}  // namespace

absl::StatusOr<Image> ImageStore::Get(const Caller& caller, absl::string_view name) {
  Image image;
  BERTH_RETURN_IF_ERROR(database_.Read([&](sqlite::Connection& connection) -> absl::Status {
    BERTH_ASSIGN_OR_RETURN(image, Find(connection, caller, name));
    return absl::OkStatus();
  }));
  return image;
}

absl::StatusOr<std::vector<Image>> ImageStore::List(const Caller& caller,
                                                    absl::Span<const std::string> filters) {
  BERTH_ASSIGN_OR_RETURN(const Filter filter, Filter::Compile(filters));
  std::vector<Image> all;
  BERTH_RETURN_IF_ERROR(database_.Read([&](sqlite::Connection& connection) -> absl::Status {
    BERTH_ASSIGN_OR_RETURN(
        sqlite::Statement row,
        connection.Prepare("SELECT name, record FROM images WHERE ns = ? ORDER BY name"));
    row.Bind(caller.ns);
    while (true) {
      BERTH_ASSIGN_OR_RETURN(const bool more, row.Step());
      if (!more) return absl::OkStatus();
      BERTH_ASSIGN_OR_RETURN(Image image,
                             ParseRecord<Image>(row.ColumnBlob(1), Quoted(row.ColumnText(0))));
      if (filter.Matches([&](const auto& path) { return FieldOf(image, path); })) {
        all.push_back(std::move(image));
      }
    }
  }));
  return all;
}

absl::StatusOr<Image> ImageStore::Create(const Caller& caller, Image image,
                                         std::optional<absl::Time> source_date) {
  BERTH_RETURN_IF_ERROR(Validate(image));
  DropEmptyLabels(*image.mutable_labels());
  *image.mutable_created_at() = ToTimestamp(source_date.value_or(absl::Now()));
  *image.mutable_updated_at() = image.created_at();
  const ObjectId object{ObjectKind::kImage, caller.ns, image.name()};
  absl::Status status = database_.Write(
      sqlite::WriteMode::kDurable, [&](sqlite::Connection& connection) -> absl::Status {
        BERTH_RETURN_IF_ERROR(EnsureNamespace(connection, caller.ns));
        BERTH_RETURN_IF_ERROR(connection.Run(
            "INSERT INTO images (ns, name, target_digest, record) VALUES (?, ?, ?, ?)", caller.ns,
            image.name(), image.target().digest(), sqlite::Blob{image.SerializeAsString()}));
        BERTH_RETURN_IF_ERROR(
            SetGcLabels(connection, object, image.labels(), ObjectAge::kNewObject));
        return AddToLease(connection, caller, kImageResource, image.name());
      });
  if (absl::IsAlreadyExists(status)) {
    return absl::AlreadyExistsError(absl::StrCat(Quoted(image.name()), ": already exists"));
  }
  BERTH_RETURN_IF_ERROR(status) << "create " << Quoted(image.name());
  Tell(Change::kAdded);
  return image;
}

absl::StatusOr<Image> ImageStore::Update(const Caller& caller, const Image& image,
                                         absl::Span<const std::string> mask,
                                         std::optional<absl::Time> source_date) {
  if (image.name().empty()) return absl::InvalidArgumentError("image name must not be empty");
  Image updated;
  BERTH_RETURN_IF_ERROR(database_.Write(
      sqlite::WriteMode::kDurable, [&](sqlite::Connection& connection) -> absl::Status {
        BERTH_ASSIGN_OR_RETURN(updated, Find(connection, caller, image.name()));
        const google::protobuf::Timestamp created_at = updated.created_at();
        if (mask.empty()) updated = image;
        for (const std::string& path : mask) {
          BERTH_RETURN_IF_ERROR(ApplyPath(image, path, updated));
        }
        BERTH_RETURN_IF_ERROR(Validate(updated));
        DropEmptyLabels(*updated.mutable_labels());
        *updated.mutable_created_at() = created_at;
        *updated.mutable_updated_at() = ToTimestamp(source_date.value_or(absl::Now()));
        BERTH_RETURN_IF_ERROR(connection.Run(
            "UPDATE images SET target_digest = ?, record = ? WHERE ns = ? AND name = ?",
            updated.target().digest(), sqlite::Blob{updated.SerializeAsString()}, caller.ns,
            updated.name()));
        return SetGcLabels(connection, {ObjectKind::kImage, caller.ns, updated.name()},
                           updated.labels(), ObjectAge::kMayExist);
      }));
  Tell(Change::kReleased);
  return updated;
}

absl::Status ImageStore::Delete(const Caller& caller, absl::string_view name,
                                absl::string_view target_digest) {
  BERTH_RETURN_IF_ERROR(database_.Write(
      sqlite::WriteMode::kDurable, [&](sqlite::Connection& connection) -> absl::Status {
        if (!target_digest.empty()) {
          BERTH_ASSIGN_OR_RETURN(const Image image, Find(connection, caller, name));
          if (image.target().digest() != target_digest) {
            return absl::NotFoundError(absl::StrCat(Quoted(name), " points to ",
                                                    image.target().digest(), ", not to ",
                                                    target_digest, ": not found"));
          }
        }
        return Erase(connection, {ObjectKind::kImage, caller.ns, std::string(name)});
      }));
  Tell(Change::kReleased);
  return absl::OkStatus();
}

absl::Status ImageStore::ForEach(sqlite::Connection& connection, absl::Time now,
                                 absl::FunctionRef<void(ObjectId, Rooted)> visit) {
  return ForEachExpiring(connection, ObjectKind::kImage, "images", "name", now, visit);
}

absl::Status ImageStore::References(sqlite::Connection& connection, const ObjectId& object,
                                    absl::FunctionRef<void(ObjectId)> visit) {
  BERTH_ASSIGN_OR_RETURN(
      sqlite::Statement row,
      connection.Prepare("SELECT target_digest FROM images WHERE ns = ? AND name = ?"));
  BERTH_ASSIGN_OR_RETURN(const bool found, row.Bind(object.ns, object.name).Step());
  if (found) visit({ObjectKind::kContent, object.ns, std::string(row.ColumnText(0))});
  return absl::OkStatus();
}

absl::StatusOr<std::vector<ObjectId>> ImageStore::RemoveRecords(
    sqlite::Connection& connection, absl::Span<const ObjectId> objects) {
  std::vector<ObjectId> removed;
  for (const ObjectId& object : objects) {
    const absl::Status erased = Erase(connection, object);
    if (absl::IsNotFound(erased)) continue;
    BERTH_RETURN_IF_ERROR(erased) << "collect " << Quoted(object.name);
    removed.push_back(object);
  }
  return removed;
}

absl::Status ImageStore::RemoveData(absl::Span<const ObjectId>) { return absl::OkStatus(); }

}  // namespace berth::metadata
