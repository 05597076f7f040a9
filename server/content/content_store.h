// The content store: blobs by digest, each namespace seeing its own, and the uploads that make
// them.
//
// Invariants: a record names a blob only after the bytes are on the disk; the bytes of a blob were
// hashed to its digest when it came in. A blob's bytes are removed only when no namespace names it,
// under the digest's lock, which every commit of that digest holds too. At most one IngestWriter
// exists for a ref of a namespace.
//
// Every change of blobs is durable when the call returns; an upload that was begun is known to the
// disk within a second. Digests and refs in error messages are as the caller gave them.
// Thread-safe. Owned by server/main; outlives its writers.
#ifndef BERTH_SERVER_CONTENT_CONTENT_STORE_H_
#define BERTH_SERVER_CONTENT_CONTENT_STORE_H_

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/digest/digest.h"
#include "base/os/mutex.h"
#include "base/sqlite/database.h"
#include "proto/containerd/services/content/v1/content.pb.h"
#include "server/content/blob_files.h"
#include "server/events/event_sink.h"
#include "server/metadata/caller.h"
#include "server/metadata/change_listener.h"
#include "server/metadata/content_table.h"
#include "server/metadata/labels.h"

namespace berth::content {

class IngestWriter;

enum class SharingPolicy {
  kShared,    // a namespace gets a blob that another one has by naming its digest
  kIsolated,  // it must write the bytes, which proves that it has them
};

class ContentStore {
 public:
  using Caller = metadata::Caller;
  using Info = containerd::services::content::v1::Info;
  using IngestStatus = containerd::services::content::v1::Status;

  struct Options {
    SharingPolicy sharing = SharingPolicy::kShared;
    absl::Duration ingest_lifetime = absl::Hours(24);  // without a lease
  };

  // `directory`: ROOT/content. What is borrowed must outlive the store; `events` and `listener` may
  // be nullptr. Blocks.
  static absl::StatusOr<std::unique_ptr<ContentStore>> Open(absl::string_view directory,
                                                            sqlite::Database& database,
                                                            EventSink* events,
                                                            metadata::ChangeListener* listener,
                                                            Options options);
  ~ContentStore();

  // Errors: NOT_FOUND; INVALID_ARGUMENT for a malformed digest (here and below).
  absl::StatusOr<Info> GetInfo(const Caller& caller, absl::string_view digest);
  // Mask paths: labels, labels.<key>; an empty mask replaces the labels. Errors: NOT_FOUND;
  // INVALID_ARGUMENT for another path.
  absl::StatusOr<Info> Update(const Caller& caller, const Info& info,
                              absl::Span<const std::string> mask);
  // At most `limit` blobs that match, in order of digest, and where to go on: `after` is the digest
  // to begin behind, and empty in the result at the end. Filter fields: digest, size,
  // labels.<key>.
  struct Page {
    std::vector<Info> infos;
    std::string after;
  };
  absl::StatusOr<Page> List(const Caller& caller, absl::Span<const std::string> filters,
                            absl::string_view after, size_t limit);
  // Errors: NOT_FOUND.
  absl::Status Delete(const Caller& caller, absl::string_view digest);
  // The bytes, readable however the record changes later. Errors: NOT_FOUND.
  absl::StatusOr<BlobFile> OpenBlob(const Caller& caller, absl::string_view digest);

  // Hashes the bytes; a blob that is not its digest is quarantined and forgotten in every
  // namespace, so that the next pull fetches it again. Errors: DATA_LOSS then; NOT_FOUND. Blocks:
  // reads the blob.
  absl::Status Verify(const Caller& caller, absl::string_view digest);
  // Removes what a crash left: uploads and blobs that no record names. Blocks.
  absl::Status RemoveLeftovers();

  // Errors: NOT_FOUND.
  absl::StatusOr<IngestStatus> GetStatus(const Caller& caller, absl::string_view ref);
  // In order of ref. Filter field: ref.
  absl::StatusOr<std::vector<IngestStatus>> ListStatuses(const Caller& caller,
                                                         absl::Span<const std::string> filters);
  // Gives up an upload, also one that is being written: clients abort before the server has seen
  // the end of their stream. Errors: NOT_FOUND.
  absl::Status Abort(const Caller& caller, absl::string_view ref);

  struct WriterRequest {
    std::string ref;
    int64_t total = 0;     // 0: unknown
    std::string expected;  // empty: unknown
  };
  // Begins an upload, or goes on with it. Errors: UNAVAILABLE while another writer has the ref;
  // ALREADY_EXISTS when the namespace has the expected blob, which then joins the caller's lease;
  // NOT_FOUND for an unknown lease. Blocks: hashes what is there already.
  absl::StatusOr<std::unique_ptr<IngestWriter>> OpenWriter(const Caller& caller,
                                                           const WriterRequest& request);

  const BlobFiles& files() const { return *files_; }
  // Removes the bytes of blobs that no namespace names (any more), and uploads without a record.
  absl::Status RemoveUnnamed(absl::Span<const Digest> digests);
  absl::Status RemoveUnnamedIngests();
  bool IsLocked(absl::string_view ns, absl::string_view ref) const ABSL_LOCKS_EXCLUDED(mutex_);
  // For garbage collection: tells listeners that a namespace lost a blob.
  void PublishDelete(absl::string_view ns, absl::string_view digest);

 private:
  friend class IngestWriter;
  using RefKey = std::pair<std::string, std::string>;  // namespace, ref
  static constexpr size_t kDigestLocks = 64;

  ContentStore(std::unique_ptr<BlobFiles> files, sqlite::Database& database, EventSink* events,
               metadata::ChangeListener* listener, Options options);

  absl::Status LockRef(const RefKey& key) ABSL_LOCKS_EXCLUDED(mutex_);
  void UnlockRef(const RefKey& key) ABSL_LOCKS_EXCLUDED(mutex_);
  // Orders commits, attachments and removals of one blob.
  Mutex& LockOf(const Digest& digest);
  absl::StatusOr<std::unique_ptr<IngestWriter>> OpenLocked(const Caller& caller,
                                                           const WriterRequest& request);
  absl::Status Forget(const Digest& digest);
  IngestStatus StatusOf(const metadata::IngestRow& row) const;
  void Tell(metadata::Change change);
  void PublishCreate(absl::string_view ns, const Info& info);

  const std::unique_ptr<BlobFiles> files_;
  sqlite::Database& database_;
  EventSink* const events_;
  metadata::ChangeListener* const listener_;
  const Options options_;
  std::array<Mutex, kDigestLocks> digest_locks_;

  mutable Mutex mutex_;
  // Refs with an open writer, and since when.
  absl::flat_hash_map<RefKey, absl::Time> locked_refs_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace berth::content

#endif  // BERTH_SERVER_CONTENT_CONTENT_STORE_H_
