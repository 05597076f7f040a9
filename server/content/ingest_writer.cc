#include "server/content/ingest_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"
#include "server/metadata/gc_labels.h"
#include "server/metadata/lease_table.h"
#include "server/metadata/namespace_table.h"
#include "server/metadata/record.h"

namespace berth::content {
namespace {

// The kernel begins to write behind the upload, so that the sync at its end finds little to do.
constexpr uint64_t kWriteBackBytes = 8u << 20;
constexpr size_t kCopyBytes = 1u << 20;

absl::Status FullDisk(const absl::Status& status, absl::string_view ref, absl::string_view place) {
  const int error = ErrnoOf(status);
  if (error != ENOSPC && error != EDQUOT) return status;
  return Annotate(status,
                  absl::StrCat("upload \"", ref, "\": the filesystem of ", place,
                               " is full; free space (remove unused images), then send the rest"));
}

}  // namespace

IngestWriter::IngestWriter(ContentStore& store, ContentStore::Caller caller,
                           metadata::IngestRow row)
    : store_(store),
      caller_(std::move(caller)),
      row_(std::move(row)),
      updated_at_(row_.started_at) {}

IngestWriter::~IngestWriter() { store_.UnlockRef({caller_.ns, row_.ref}); }

absl::Status IngestWriter::OpenFile(DigestAlgorithm algorithm) {
  hasher_ = Hasher(algorithm);
  BERTH_ASSIGN_OR_RETURN(file_, store_.files_->OpenIngest(row_.file));
  return Reload();
}

absl::Status IngestWriter::Reload() {
  struct stat info;
  if (::fstat(file_.get(), &info) != 0) return ErrnoStatus(errno, "fstat", row_.file);
  hasher_.Reset();
  offset_ = static_cast<uint64_t>(info.st_size);
  written_back_ = offset_;
  if (offset_ > 0) updated_at_ = absl::TimeFromTimespec(info.st_mtim);
  BERTH_RETURN_IF_ERROR(hasher_.UpdateFromFile(file_, 0, offset_))
      << "hash what was uploaded of \"" << row_.ref << "\"";
  return absl::OkStatus();
}

std::string IngestWriter::CurrentDigest() const {
  return shared_.has_value() ? shared_->text() : hasher_.Current().text();
}

absl::StatusOr<std::string> IngestWriter::FileName() {
  if (shared_.has_value()) {
    BERTH_RETURN_IF_ERROR(Unshare(0));
  }
  return row_.file;
}

absl::Status IngestWriter::Write(absl::string_view data) {
  if (data.empty()) return absl::OkStatus();
  if (shared_.has_value()) {
    BERTH_RETURN_IF_ERROR(Unshare(offset_));
  }
  absl::string_view rest = data;
  uint64_t at = offset_;
  while (!rest.empty()) {
    const ssize_t written = ::pwrite(file_.get(), rest.data(), rest.size(), static_cast<off_t>(at));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) {
      const absl::Status status = ErrnoStatus(errno, "write", row_.file);
      if (::ftruncate(file_.get(), static_cast<off_t>(offset_)) != 0) {
        return ErrnoStatus(errno, "ftruncate", row_.file);
      }
      return FullDisk(status, row_.ref, store_.files_->directory());
    }
    rest.remove_prefix(static_cast<size_t>(written));
    at += static_cast<uint64_t>(written);
  }
  hasher_.Update(data);
  offset_ = at;
  updated_at_ = absl::Now();
  if (offset_ - written_back_ >= kWriteBackBytes) {
    // Only a hint: the sync at the commit is what counts.
    (void)::sync_file_range(file_.get(), static_cast<off_t>(written_back_),
                            static_cast<off_t>(offset_ - written_back_), SYNC_FILE_RANGE_WRITE);
    written_back_ = offset_;
  }
  return absl::OkStatus();
}

absl::Status IngestWriter::Truncate() {
  if (shared_.has_value()) return Unshare(0);
  if (::ftruncate(file_.get(), 0) != 0) return ErrnoStatus(errno, "ftruncate", row_.file);
  hasher_.Reset();
  offset_ = 0;
  written_back_ = 0;
  updated_at_ = absl::Now();
  return absl::OkStatus();
}

absl::Status IngestWriter::Unshare(uint64_t size) {
  const Digest from = *shared_;
  BERTH_RETURN_IF_ERROR(OpenFile(from.algorithm()));
  shared_.reset();
  row_.shared.clear();
  BERTH_RETURN_IF_ERROR(
      store_.database_.Write(sqlite::WriteMode::kDelayed, [this](sqlite::Connection& connection) {
        return metadata::PutIngest(connection, caller_.ns, row_);
      }));
  BERTH_RETURN_IF_ERROR(Truncate());
  if (size == 0) return absl::OkStatus();
  BERTH_ASSIGN_OR_RETURN(const BlobFile blob, store_.files_->OpenBlob(from));
  std::vector<char> buffer(kCopyBytes);
  while (offset_ < size) {
    const size_t want = std::min<uint64_t>(size - offset_, buffer.size());
    const ssize_t got = ::pread(blob.fd.get(), buffer.data(), want, static_cast<off_t>(offset_));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return ErrnoStatus(errno, "pread", from.text());
    if (got == 0) break;
    BERTH_RETURN_IF_ERROR(Write(absl::string_view(buffer.data(), static_cast<size_t>(got))));
  }
  return absl::OkStatus();
}

absl::StatusOr<Digest> IngestWriter::CheckedDigest(int64_t total, absl::string_view expected) {
  if (total > 0 && static_cast<uint64_t>(total) != offset_) {
    return absl::FailedPreconditionError(
        absl::StrCat("\"", row_.ref, "\" failed size validation: ", offset_, " != ", total,
                     ": the upload has another size than was announced; send it again"));
  }
  if (expected.empty()) return shared_.has_value() ? *shared_ : hasher_.Current();
  BERTH_ASSIGN_OR_RETURN(const Digest wanted, Digest::Parse(expected));
  if (!shared_.has_value() && wanted.algorithm() != hasher_.algorithm()) {
    hasher_ = Hasher(wanted.algorithm());
    BERTH_RETURN_IF_ERROR(hasher_.UpdateFromFile(file_, 0, offset_));
  }
  const Digest actual = shared_.has_value() ? *shared_ : hasher_.Current();
  if (actual != wanted) {
    return absl::FailedPreconditionError(
        absl::StrCat("\"", row_.ref, "\": unexpected commit digest ", actual.text(), ", expected ",
                     wanted.text(),
                     ": the bytes are not those that were announced; abort the "
                     "upload and send it again"));
  }
  return actual;
}

absl::StatusOr<metadata::ContentInfo> IngestWriter::Commit(int64_t total,
                                                           absl::string_view expected,
                                                           metadata::Labels labels) {
  BERTH_RETURN_IF_ERROR(metadata::ValidateLabels(labels)) << "info.Labels";
  metadata::DropEmptyLabels(labels);
  BERTH_ASSIGN_OR_RETURN(const Digest digest, CheckedDigest(total, expected));

  metadata::ContentInfo info;
  info.set_digest(digest.text());
  info.set_size(static_cast<int64_t>(offset_));
  *info.mutable_created_at() = metadata::ToTimestamp(absl::Now());
  *info.mutable_updated_at() = info.created_at();
  *info.mutable_labels() = std::move(labels);

  bool existed = false;
  {
    MutexLock lock(&store_.LockOf(digest));
    BERTH_RETURN_IF_ERROR(FullDisk(Publish(digest), row_.ref, store_.files_->directory()));
    BERTH_ASSIGN_OR_RETURN(existed, Record(info));
  }
  // The blob has its own name now; a leftover is removed at the next start.
  (void)store_.files_->RemoveIngest(row_.file);
  store_.Tell(metadata::Change::kAdded);
  if (existed) {
    return absl::AlreadyExistsError(absl::StrCat("content ", digest.text(), ": already exists"));
  }
  store_.PublishCreate(caller_.ns, info);
  return info;
}

// Requires: the digest's lock is held.
absl::Status IngestWriter::Publish(const Digest& digest) {
  if (shared_.has_value()) {
    BERTH_RETURN_IF_ERROR(store_.files_->OpenBlob(digest).status())
        << "content " << digest.text() << " was removed meanwhile; send its bytes";
    return absl::OkStatus();
  }
  BERTH_RETURN_IF_ERROR(store_.files_->Publish(row_.file, file_, digest))
      << "commit upload \"" << row_.ref << "\"";
  return absl::OkStatus();
}

// True when the namespace has the blob already.
absl::StatusOr<bool> IngestWriter::Record(const metadata::ContentInfo& info) {
  bool existed = false;
  BERTH_RETURN_IF_ERROR(store_.database_.Write(
      sqlite::WriteMode::kDurable,
      [&](sqlite::Connection& connection) -> absl::Status {
        BERTH_RETURN_IF_ERROR(metadata::EnsureNamespace(connection, caller_.ns));
        BERTH_ASSIGN_OR_RETURN(existed, metadata::HasBlob(connection, caller_.ns, info.digest()));
        if (!existed) {
          BERTH_RETURN_IF_ERROR(metadata::InsertBlob(connection, caller_.ns, info));
          BERTH_RETURN_IF_ERROR(metadata::SetGcLabels(
              connection, {metadata::ObjectKind::kContent, caller_.ns, info.digest()},
              info.labels(), metadata::ObjectAge::kNewObject));
        }
        const absl::Status deleted = metadata::DeleteIngest(connection, caller_.ns, row_.ref);
        if (!absl::IsNotFound(deleted)) {
          BERTH_RETURN_IF_ERROR(deleted);
        }
        BERTH_RETURN_IF_ERROR(
            metadata::RemoveFromLease(connection, caller_, metadata::kIngestResource, row_.ref));
        return metadata::AddToLease(connection, caller_, metadata::kContentResource, info.digest());
      }))
      << "commit upload \"" << row_.ref << "\"";
  return existed;
}

absl::Status IngestWriter::Abort() {
  BERTH_RETURN_IF_ERROR(store_.database_.Write(
      sqlite::WriteMode::kDelayed, [this](sqlite::Connection& connection) -> absl::Status {
        BERTH_RETURN_IF_ERROR(metadata::DeleteIngest(connection, caller_.ns, row_.ref));
        return metadata::RemoveFromLease(connection, caller_, metadata::kIngestResource, row_.ref);
      }));
  return store_.files_->RemoveIngest(row_.file);
}

}  // namespace berth::content
