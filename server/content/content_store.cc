#include "server/content/content_store.h"

#include <sys/random.h>

#include <algorithm>
#include <optional>

#include "absl/container/flat_hash_set.h"
#include "absl/hash/hash.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/digest/hasher.h"
#include "base/status/check.h"
#include "base/status/status_macros.h"
#include "proto/containerd/events/content.pb.h"
#include "server/content/blob_temporaries.h"
#include "server/content/ingest_writer.h"
#include "server/content/lost_bytes.h"
#include "server/filter/filter.h"
#include "server/metadata/gc_labels.h"
#include "server/metadata/lease_table.h"
#include "server/metadata/namespace_table.h"
#include "server/metadata/record.h"

namespace berth::content {
namespace {

// How long a second writer of a ref waits for the first to end before it is refused.
constexpr absl::Duration kLockPatience = absl::Milliseconds(500);

using metadata::Change;
using metadata::IngestRow;
using metadata::ObjectKind;

std::optional<std::string> FieldOf(const ContentStore::Info& info,
                                   const std::vector<std::string>& path) {
  if (path[0] == "digest") return info.digest();
  if (path[0] == "size") return absl::StrCat(info.size());
  if (path[0] == "labels") {
    return metadata::FindLabel(info.labels(), absl::MakeConstSpan(path).subspan(1));
  }
  return std::nullopt;
}

std::string RandomName() {
  char bytes[16];
  BERTH_CHECK(::getrandom(bytes, sizeof(bytes), 0) == sizeof(bytes));
  return absl::BytesToHexString(absl::string_view(bytes, sizeof(bytes)));
}

DigestAlgorithm AlgorithmOf(absl::string_view expected) {
  const absl::StatusOr<Digest> digest = Digest::Parse(expected);
  return digest.ok() ? digest->algorithm() : DigestAlgorithm::kSha256;
}

// Whether letting go of `older` in favour of `newer` may have made garbage of something: only gc.*
// labels hold anything. Telling of every change would collect blobs that somebody has ingested
// without a lease and is still labelling.
Change ChangeOf(const metadata::Labels& older, const metadata::Labels& newer) {
  for (const auto& [key, value] : older) {
    if (!absl::StartsWith(key, metadata::kGcLabelPrefix)) continue;
    const auto found = newer.find(key);
    if (found == newer.end() || found->second != value) return Change::kReleased;
  }
  return Change::kAdded;
}

}  // namespace

ContentStore::ContentStore(std::unique_ptr<BlobFiles> files, sqlite::Database& database,
                           EventSink* events, metadata::ChangeListener* listener, Options options)
    : files_(std::move(files)),
      database_(database),
      events_(events),
      listener_(listener),
      options_(options) {}
ContentStore::~ContentStore() = default;

absl::StatusOr<std::unique_ptr<ContentStore>> ContentStore::Open(absl::string_view directory,
                                                                 sqlite::Database& database,
                                                                 EventSink* events,
                                                                 metadata::ChangeListener* listener,
                                                                 Options options) {
  BERTH_ASSIGN_OR_RETURN(std::unique_ptr<BlobFiles> files, BlobFiles::Open(directory),
                         _ << "open the content store");
  return std::unique_ptr<ContentStore>(
      new ContentStore(std::move(files), database, events, listener, options));
}

absl::StatusOr<ContentStore::Info> ContentStore::GetInfo(const Caller& caller,
                                                         absl::string_view digest) {
  BERTH_RETURN_IF_ERROR(Digest::Parse(digest));
  Info info;
  BERTH_RETURN_IF_ERROR(database_.Read([&](sqlite::Connection& connection) -> absl::Status {
    BERTH_ASSIGN_OR_RETURN(info, metadata::FindBlob(connection, caller.ns, digest));
    return absl::OkStatus();
  }));
  return info;
}

absl::StatusOr<ContentStore::Info> ContentStore::Update(const Caller& caller, const Info& info,
                                                        absl::Span<const std::string> mask) {
  BERTH_RETURN_IF_ERROR(Digest::Parse(info.digest()));
  Info updated;
  metadata::Labels older;
  BERTH_RETURN_IF_ERROR(database_.Write(
      sqlite::WriteMode::kDurable, [&](sqlite::Connection& connection) -> absl::Status {
        BERTH_ASSIGN_OR_RETURN(updated, metadata::FindBlob(connection, caller.ns, info.digest()));
        older = updated.labels();
        if (mask.empty()) *updated.mutable_labels() = info.labels();
        for (const std::string& path : mask) {
          absl::string_view key = path;
          if (path == "labels") {
            *updated.mutable_labels() = info.labels();
          } else if (absl::ConsumePrefix(&key, "labels.")) {
            metadata::ApplyLabelPath(info.labels(), key, *updated.mutable_labels());
          } else {
            return absl::InvalidArgumentError(absl::StrCat(
                "cannot update \"", path, "\" field on content info \"", info.digest(), "\""));
          }
        }
        BERTH_RETURN_IF_ERROR(metadata::ValidateLabels(updated.labels())) << "info.Labels";
        metadata::DropEmptyLabels(*updated.mutable_labels());
        *updated.mutable_updated_at() = metadata::ToTimestamp(absl::Now());
        BERTH_RETURN_IF_ERROR(metadata::ReplaceBlob(connection, caller.ns, updated));
        return metadata::SetGcLabels(connection, {ObjectKind::kContent, caller.ns, info.digest()},
                                     updated.labels(), metadata::ObjectAge::kMayExist);
      }));
  Tell(ChangeOf(older, updated.labels()));
  return updated;
}

absl::StatusOr<ContentStore::Page> ContentStore::List(const Caller& caller,
                                                      absl::Span<const std::string> filters,
                                                      absl::string_view after, size_t limit) {
  BERTH_ASSIGN_OR_RETURN(const Filter filter, Filter::Compile(filters));
  Page page;
  BERTH_RETURN_IF_ERROR(database_.Read([&](sqlite::Connection& connection) {
    return metadata::VisitBlobs(connection, caller.ns, after, [&](Info info) {
      if (!filter.Matches([&](const auto& path) { return FieldOf(info, path); })) return true;
      page.infos.push_back(std::move(info));
      if (page.infos.size() < limit) return true;
      page.after = page.infos.back().digest();
      return false;
    });
  }));
  return page;
}

absl::Status ContentStore::Delete(const Caller& caller, absl::string_view digest_text) {
  BERTH_ASSIGN_OR_RETURN(const Digest digest, Digest::Parse(digest_text));
  Info deleted;
  BERTH_RETURN_IF_ERROR(database_.Write(
      sqlite::WriteMode::kDurable, [&](sqlite::Connection& connection) -> absl::Status {
        BERTH_ASSIGN_OR_RETURN(deleted, metadata::FindBlob(connection, caller.ns, digest.text()));
        BERTH_RETURN_IF_ERROR(metadata::DeleteBlob(connection, caller.ns, digest.text()));
        BERTH_RETURN_IF_ERROR(
            metadata::RemoveGcLabels(connection, {ObjectKind::kContent, caller.ns, digest.text()}));
        return metadata::RemoveFromLease(connection, caller, metadata::kContentResource,
                                         digest.text());
      }));
  PublishDelete(caller.ns, digest.text());
  Tell(ChangeOf(deleted.labels(), {}));
  // The record is gone, which is what was asked for; bytes that stay are found by garbage
  // collection or at the next start.
  (void)RemoveUnnamed({&digest, 1});
  return absl::OkStatus();
}

absl::StatusOr<BlobFile> ContentStore::OpenBlob(const Caller& caller,
                                                absl::string_view digest_text) {
  BERTH_ASSIGN_OR_RETURN(const Digest digest, Digest::Parse(digest_text));
  BERTH_RETURN_IF_ERROR(GetInfo(caller, digest_text));
  absl::StatusOr<BlobFile> blob = files_->OpenBlob(digest);
  if (!absl::IsNotFound(blob.status())) return blob;
  // It may have been removed between the two looks, and even have come again: once more, while
  // nobody brings or removes it.
  MutexLock lock(&LockOf(digest));
  BERTH_RETURN_IF_ERROR(GetInfo(caller, digest_text));
  blob = files_->OpenBlob(digest);
  if (!absl::IsNotFound(blob.status())) return blob;
  BERTH_RETURN_IF_ERROR(Forget(digest));
  return LostBytes(digest_text);
}

// The bytes are missing or wrong: without the records the next pull fetches them again.
absl::Status ContentStore::Forget(const Digest& digest) {
  std::vector<std::string> namespaces;
  BERTH_RETURN_IF_ERROR(database_.Write(
      sqlite::WriteMode::kDurable, [&](sqlite::Connection& connection) -> absl::Status {
        BERTH_ASSIGN_OR_RETURN(namespaces, metadata::NamespacesOfBlob(connection, digest.text()));
        for (const std::string& ns : namespaces) {
          BERTH_RETURN_IF_ERROR(metadata::DeleteBlob(connection, ns, digest.text()));
          BERTH_RETURN_IF_ERROR(
              metadata::RemoveGcLabels(connection, {ObjectKind::kContent, ns, digest.text()}));
        }
        return absl::OkStatus();
      }));
  for (const std::string& ns : namespaces) PublishDelete(ns, digest.text());
  Tell(Change::kReleased);
  return absl::OkStatus();
}

absl::Status ContentStore::Verify(const Caller& caller, absl::string_view digest_text) {
  BERTH_ASSIGN_OR_RETURN(const Digest digest, Digest::Parse(digest_text));
  BERTH_ASSIGN_OR_RETURN(const BlobFile blob, OpenBlob(caller, digest_text));
  BERTH_ASSIGN_OR_RETURN(const Digest actual, HashFile(blob.fd, digest.algorithm()));
  if (actual == digest) return absl::OkStatus();
  {
    MutexLock lock(&LockOf(digest));
    BERTH_RETURN_IF_ERROR(Forget(digest));
    BERTH_RETURN_IF_ERROR(files_->Quarantine(digest, absl::Now()));
  }
  return absl::DataLossError(absl::StrCat(
      "content ", digest.text(), " is damaged: its bytes hash to ", actual.text(),
      ". It was moved to ", files_->directory(), "/quarantine; pull or import the image again"));
}

absl::Status ContentStore::RemoveUnnamed(absl::Span<const Digest> digests) {
  for (const Digest& digest : digests) {
    MutexLock lock(&LockOf(digest));
    bool named = true;
    BERTH_RETURN_IF_ERROR(database_.Read([&](sqlite::Connection& connection) -> absl::Status {
      BERTH_ASSIGN_OR_RETURN(named, metadata::IsBlobNamed(connection, digest.text()));
      return absl::OkStatus();
    }));
    if (!named) {
      BERTH_RETURN_IF_ERROR(files_->RemoveBlob(digest));
    }
  }
  return absl::OkStatus();
}

absl::Status ContentStore::RemoveUnnamedIngests() {
  // Files first: a row is written before its file is made, so that a file whose row is missing
  // afterwards belongs to nobody.
  BERTH_ASSIGN_OR_RETURN(const std::vector<std::string> files, files_->ListIngests());
  std::vector<std::string> named;
  BERTH_RETURN_IF_ERROR(database_.Read([&](sqlite::Connection& connection) -> absl::Status {
    BERTH_ASSIGN_OR_RETURN(named, metadata::IngestFiles(connection));
    return absl::OkStatus();
  }));
  const absl::flat_hash_set<std::string> keep(named.begin(), named.end());
  for (const std::string& file : files) {
    if (!keep.contains(file)) {
      BERTH_RETURN_IF_ERROR(files_->RemoveIngest(file));
    }
  }
  return absl::OkStatus();
}

absl::Status ContentStore::RemoveLeftovers() {
  BERTH_ASSIGN_OR_RETURN(const auto temporaries,
                         ListBlobTemporaries(absl::StrCat(files_->directory(), "/blobs")));
  for (const BlobTemporary& temporary : temporaries) {
    MutexLock lock(&LockOf(temporary.digest));
    BERTH_RETURN_IF_ERROR(RemoveBlobTemporary(temporary));
  }
  BERTH_RETURN_IF_ERROR(RemoveUnnamedIngests()) << "remove abandoned uploads";
  BERTH_ASSIGN_OR_RETURN(const std::vector<Digest> blobs, files_->ListBlobs());
  BERTH_RETURN_IF_ERROR(RemoveUnnamed(blobs)) << "remove abandoned blobs";
  return absl::OkStatus();
}

ContentStore::IngestStatus ContentStore::StatusOf(const IngestRow& row) const {
  IngestStatus status;
  status.set_ref(row.ref);
  status.set_total(row.total);
  status.set_expected(row.expected);
  *status.mutable_started_at() = metadata::ToTimestamp(row.started_at);
  *status.mutable_updated_at() = status.started_at();
  if (!row.shared.empty()) {
    status.set_offset(row.total);
  } else if (const auto file = files_->StatIngest(row.file); file.ok()) {
    status.set_offset(static_cast<int64_t>(file->size));
    *status.mutable_updated_at() = metadata::ToTimestamp(file->modified);
  }
  return status;
}

absl::StatusOr<ContentStore::IngestStatus> ContentStore::GetStatus(const Caller& caller,
                                                                   absl::string_view ref) {
  std::optional<IngestRow> row;
  BERTH_RETURN_IF_ERROR(database_.Read([&](sqlite::Connection& connection) -> absl::Status {
    BERTH_ASSIGN_OR_RETURN(row, metadata::FindIngest(connection, caller.ns, ref));
    return absl::OkStatus();
  }));
  if (!row.has_value()) {
    return absl::NotFoundError(absl::StrCat("reference ", ref, ": not found"));
  }
  return StatusOf(*row);
}

absl::StatusOr<std::vector<ContentStore::IngestStatus>> ContentStore::ListStatuses(
    const Caller& caller, absl::Span<const std::string> filters) {
  BERTH_ASSIGN_OR_RETURN(const Filter filter, Filter::Compile(filters));
  std::vector<IngestRow> rows;
  BERTH_RETURN_IF_ERROR(database_.Read([&](sqlite::Connection& connection) -> absl::Status {
    BERTH_ASSIGN_OR_RETURN(rows, metadata::ListIngests(connection, caller.ns));
    return absl::OkStatus();
  }));
  std::vector<IngestStatus> statuses;
  for (const IngestRow& row : rows) {
    const auto field = [&](const std::vector<std::string>& path) {
      return path[0] == "ref" ? std::optional<std::string>(row.ref) : std::nullopt;
    };
    if (filter.Matches(field)) statuses.push_back(StatusOf(row));
  }
  return statuses;
}

absl::Status ContentStore::Abort(const Caller& caller, absl::string_view ref) {
  std::optional<IngestRow> row;
  BERTH_RETURN_IF_ERROR(database_.Write(
      sqlite::WriteMode::kDelayed, [&](sqlite::Connection& connection) -> absl::Status {
        BERTH_ASSIGN_OR_RETURN(row, metadata::FindIngest(connection, caller.ns, ref));
        BERTH_RETURN_IF_ERROR(metadata::DeleteIngest(connection, caller.ns, ref));
        return metadata::RemoveFromLease(connection, caller, metadata::kIngestResource, ref);
      }));
  // A writer that still has it open finds at its commit that the upload is gone.
  return files_->RemoveIngest(row->file);
}

absl::StatusOr<std::unique_ptr<IngestWriter>> ContentStore::OpenWriter(
    const Caller& caller, const WriterRequest& request) {
  if (request.ref.empty()) {
    return absl::InvalidArgumentError("the first message of a write must name its reference");
  }
  if (!request.expected.empty()) {
    BERTH_RETURN_IF_ERROR(Digest::Parse(request.expected));
  }
  const RefKey key(caller.ns, request.ref);
  BERTH_RETURN_IF_ERROR(LockRef(key));
  absl::StatusOr<std::unique_ptr<IngestWriter>> writer = OpenLocked(caller, request);
  return writer;
}

absl::StatusOr<std::unique_ptr<IngestWriter>> ContentStore::OpenLocked(
    const Caller& caller, const WriterRequest& request) {
  IngestRow fresh;
  fresh.ref = request.ref;
  fresh.file = RandomName();
  fresh.started_at = absl::Now();
  // From here on the writer unlocks the ref, however this ends.
  std::unique_ptr<IngestWriter> writer(new IngestWriter(*this, caller, fresh));

  std::optional<Digest> shared;
  uint64_t shared_size = 0;
  if (options_.sharing == SharingPolicy::kShared && !request.expected.empty()) {
    BERTH_ASSIGN_OR_RETURN(const Digest digest, Digest::Parse(request.expected));
    const absl::StatusOr<BlobFile> blob = files_->OpenBlob(digest);
    if (blob.ok() && (request.total <= 0 || static_cast<uint64_t>(request.total) == blob->size)) {
      shared = digest;
      shared_size = blob->size;
    }
  }

  bool exists = false;
  IngestRow row;
  BERTH_RETURN_IF_ERROR(database_.Write(
      sqlite::WriteMode::kDelayed,
      [&](sqlite::Connection& connection) -> absl::Status {
        if (!request.expected.empty()) {
          BERTH_ASSIGN_OR_RETURN(exists,
                                 metadata::HasBlob(connection, caller.ns, request.expected));
          if (exists) {
            return metadata::AddToLease(connection, caller, metadata::kContentResource,
                                        request.expected);
          }
        }
        BERTH_RETURN_IF_ERROR(metadata::EnsureNamespace(connection, caller.ns));
        BERTH_ASSIGN_OR_RETURN(const std::optional<IngestRow> older,
                               metadata::FindIngest(connection, caller.ns, request.ref));
        row = older.value_or(fresh);
        if (request.total > 0) row.total = request.total;
        row.expected = request.expected;
        row.shared = shared.has_value() ? shared->text() : "";
        if (shared.has_value()) row.total = static_cast<int64_t>(shared_size);
        if (caller.lease.empty()) {
          row.expires_at = absl::Now() + options_.ingest_lifetime;
        } else {
          BERTH_RETURN_IF_ERROR(
              metadata::AddToLease(connection, caller, metadata::kIngestResource, request.ref));
        }
        return metadata::PutIngest(connection, caller.ns, row);
      }))
      << "open upload \"" << request.ref << "\"";
  if (exists) {
    return absl::AlreadyExistsError(absl::StrCat("content ", request.expected, ": already exists"));
  }
  writer->row_ = row;
  writer->updated_at_ = row.started_at;
  if (shared.has_value()) {
    writer->shared_ = shared;
    writer->offset_ = shared_size;
    return writer;
  }
  BERTH_RETURN_IF_ERROR(writer->OpenFile(AlgorithmOf(request.expected)))
      << "open upload \"" << request.ref << "\"";
  return writer;
}

absl::Status ContentStore::LockRef(const RefKey& key) {
  MutexLock lock(&mutex_);
  // A client that closes a writer and opens the next is not told when the first has ended: its
  // stream may still be closing here.
  const auto is_free = [&]() ABSL_NO_THREAD_SAFETY_ANALYSIS { return !locked_refs_.contains(key); };
  mutex_.AwaitWithTimeout(absl::Condition(&is_free), kLockPatience);
  const absl::Time now = absl::Now();
  const auto [entry, is_new] = locked_refs_.try_emplace(key, now);
  if (is_new) return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat(
      "ref ", key.second, " locked for ", absl::FormatDuration(now - entry->second), " (since ",
      absl::FormatTime(entry->second, absl::UTCTimeZone()),
      "): unavailable: another client is writing it; wait for it, or use another reference"));
}

void ContentStore::UnlockRef(const RefKey& key) {
  MutexLock lock(&mutex_);
  locked_refs_.erase(key);
}

bool ContentStore::IsLocked(absl::string_view ns, absl::string_view ref) const {
  MutexLock lock(&mutex_);
  return locked_refs_.contains(RefKey(ns, ref));
}

Mutex& ContentStore::LockOf(const Digest& digest) {
  return digest_locks_[absl::Hash<Digest>()(digest) % kDigestLocks];
}

void ContentStore::Tell(Change change) {
  if (listener_ != nullptr) listener_->OnChange(change);
}

void ContentStore::PublishCreate(absl::string_view ns, const Info& info) {
  if (events_ == nullptr) return;
  containerd::events::ContentCreate event;
  event.set_digest(info.digest());
  event.set_size(info.size());
  events_->Publish(ns, "/content/create", event);
}

void ContentStore::PublishDelete(absl::string_view ns, absl::string_view digest) {
  if (events_ == nullptr) return;
  containerd::events::ContentDelete event;
  event.set_digest(std::string(digest));
  events_->Publish(ns, "/content/delete", event);
}

}  // namespace berth::content
