// The records of images: a name that points to a blob.
//
// Every change is durable when the call returns. Since containerd 2.0 an image joins the caller's
// lease, and one whose label containerd.io/gc.expire has passed is no root of garbage collection.
// Invariant: the column target_digest says what the record says. Thread-safe; owned by server/main.
#ifndef BERTH_SERVER_METADATA_IMAGE_STORE_H_
#define BERTH_SERVER_METADATA_IMAGE_STORE_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/sqlite/database.h"
#include "proto/containerd/services/images/v1/images.pb.h"
#include "server/metadata/caller.h"
#include "server/metadata/change_listener.h"
#include "server/metadata/collectable.h"

namespace berth::metadata {

class ImageStore final : public Collectable {
 public:
  using Image = containerd::services::images::v1::Image;

  explicit ImageStore(sqlite::Database& database, ChangeListener* listener = nullptr)
      : database_(database), listener_(listener) {}

  // Errors: NOT_FOUND.
  absl::StatusOr<Image> Get(const Caller& caller, absl::string_view name);
  // In order of name. Filter fields: name, target.digest, target.mediatype, labels.<key>,
  // annotations.<key>. Errors: INVALID_ARGUMENT.
  absl::StatusOr<std::vector<Image>> List(const Caller& caller,
                                          absl::Span<const std::string> filters);
  // `source_date`: the times to stamp instead of now. Errors: ALREADY_EXISTS; INVALID_ARGUMENT
  // naming the field; NOT_FOUND for an unknown lease.
  absl::StatusOr<Image> Create(const Caller& caller, Image image,
                               std::optional<absl::Time> source_date = std::nullopt);
  // Mask paths: labels, labels.<key>, target, annotations, annotations.<key>; an empty mask
  // replaces the record but its creation time. Errors: NOT_FOUND; INVALID_ARGUMENT naming the path
  // or field.
  absl::StatusOr<Image> Update(const Caller& caller, const Image& image,
                               absl::Span<const std::string> mask,
                               std::optional<absl::Time> source_date = std::nullopt);
  // With a non-empty `target_digest` only if the record points there.
  // Errors: NOT_FOUND, also for another target.
  absl::Status Delete(const Caller& caller, absl::string_view name,
                      absl::string_view target_digest = "");

  ObjectKind kind() const override { return ObjectKind::kImage; }
  absl::Status ForEach(sqlite::Connection& connection, absl::Time now,
                       absl::FunctionRef<void(ObjectId, Rooted)> visit) override;
  absl::Status References(sqlite::Connection& connection, const ObjectId& object,
                          absl::FunctionRef<void(ObjectId)> visit) override;
  absl::StatusOr<std::vector<ObjectId>> RemoveRecords(sqlite::Connection& connection,
                                                      absl::Span<const ObjectId> objects) override;
  absl::Status RemoveData(absl::Span<const ObjectId> removed) override;

 private:
  void Tell(Change change) {
    if (listener_ != nullptr) listener_->OnChange(change);
  }

  sqlite::Database& database_;
  ChangeListener* const listener_;
};

}  // namespace berth::metadata

#endif  // BERTH_SERVER_METADATA_IMAGE_STORE_H_
