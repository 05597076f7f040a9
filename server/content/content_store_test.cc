#include "server/content/content_store.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/digest/hasher.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "gtest/gtest.h"
#include "server/content/content_collector.h"
#include "server/content/ingest_writer.h"
#include "server/metadata/lease_store.h"
#include "server/metadata/test_database.h"

namespace berth::content {
namespace {

using metadata::Caller;
using metadata::Labels;
using metadata::ObjectId;
using metadata::ObjectKind;
using metadata::Rooted;

class Recorder final : public EventSink {
 public:
  void Publish(absl::string_view ns, absl::string_view topic,
               const google::protobuf::Message& event) override {
    topics.push_back(absl::StrCat(ns, " ", topic));
  }
  std::vector<std::string> topics;
};

class ReleaseCounter final : public metadata::ChangeListener {
 public:
  void OnChange(metadata::Change change) override {
    if (change == metadata::Change::kReleased) ++releases;
  }
  int releases = 0;
};

class ContentStoreTest : public testing::Test {
 protected:
  ContentStoreTest() { Reopen(); }

  void Reopen(ContentStore::Options options = {}) {
    store_.reset();
    auto store = ContentStore::Open(Directory(), *database_, &events_, &releases_, options);
    ASSERT_TRUE(store.ok()) << store.status();
    store_ = *std::move(store);
  }
  std::string Directory() const { return database_.directory() + "/content"; }
  std::string BlobPath(absl::string_view data) const {
    return absl::StrCat(Directory(), "/blobs/sha256/", HashString(data).hex());
  }
  static bool Exists(const std::string& path) {
    struct stat info;
    return ::lstat(path.c_str(), &info) == 0;
  }
  size_t IngestFiles() const { return store_->files().ListIngests()->size(); }

  std::unique_ptr<IngestWriter> Open(absl::string_view ref, absl::string_view expected = "",
                                     int64_t total = 0, Caller caller = {"default"}) {
    auto writer = store_->OpenWriter(caller, {std::string(ref), total, std::string(expected)});
    EXPECT_TRUE(writer.ok()) << writer.status();
    return writer.ok() ? *std::move(writer) : nullptr;
  }
  absl::StatusCode OpenCode(absl::string_view ref, absl::string_view expected = "",
                            int64_t total = 0, Caller caller = {"default"}) {
    return store_->OpenWriter(caller, {std::string(ref), total, std::string(expected)})
        .status()
        .code();
  }
  absl::Status Put(absl::string_view data, Caller caller = {"default"}, Labels labels = {}) {
    auto writer = store_->OpenWriter(caller, {"put", 0, ""});
    if (!writer.ok()) return writer.status();
    absl::Status status = (*writer)->Write(data);
    if (!status.ok()) return status;
    return (*writer)->Commit(0, "", std::move(labels)).status();
  }
  std::string Read(absl::string_view digest, Caller caller = {"default"}) {
    auto blob = store_->OpenBlob(caller, digest);
    if (!blob.ok()) return blob.status().ToString();
    return *ReadAll(blob->fd, 1 << 20);
  }

  metadata::TestDatabase database_;
  Recorder events_;
  ReleaseCounter releases_;
  metadata::LeaseStore leases_{*database_};
  std::unique_ptr<ContentStore> store_;
  const Caller caller_{"default"};
};

TEST_F(ContentStoreTest, ACommittedBlobIsThereAfterARestart) {
  Labels labels;
  labels["a"] = "1";
  labels["empty"] = "";
  ASSERT_TRUE(Put("hello", caller_, labels).ok());
  const std::string digest = HashString("hello").text();
  database_.Reopen();
  Reopen();
  const auto info = store_->GetInfo(caller_, digest);
  ASSERT_TRUE(info.ok()) << info.status();
  EXPECT_EQ(info->size(), 5);
  EXPECT_EQ(info->labels_size(), 1);
  EXPECT_EQ(Read(digest), "hello");
  struct stat file;
  ASSERT_EQ(::stat(BlobPath("hello").c_str(), &file), 0);
  EXPECT_EQ(file.st_mode & 07777, 0444u);
  EXPECT_EQ(file.st_nlink, 1u);
  EXPECT_EQ(IngestFiles(), 0u);
  EXPECT_EQ(events_.topics, std::vector<std::string>{"default /content/create"});
}

TEST_F(ContentStoreTest, OtherAlgorithmsAreKeptBesideSha256) {
  const std::string digest = HashString("x", DigestAlgorithm::kSha512).text();
  auto writer = Open("r");
  ASSERT_TRUE(writer->Write("x").ok());
  const auto info = writer->Commit(1, digest, {});
  ASSERT_TRUE(info.ok()) << info.status();
  EXPECT_EQ(info->digest(), digest);
  EXPECT_EQ(Read(digest), "x");
  writer = Open("r2", HashString("y", DigestAlgorithm::kSha384).text());
  ASSERT_TRUE(writer->Write("y").ok());
  EXPECT_EQ(writer->CurrentDigest(), HashString("y", DigestAlgorithm::kSha384).text());
  EXPECT_TRUE(writer->Commit(1, "", {}).ok());
}

TEST_F(ContentStoreTest, OneWriterAtATimeForEachRef) {
  auto writer = Open("busy");
  const auto second = store_->OpenWriter(caller_, {"busy", 0, ""});
  EXPECT_EQ(second.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_TRUE(absl::StrContains(second.status().message(), "ref busy locked for"));
  EXPECT_NE(Open("other"), nullptr);
  EXPECT_NE(Open("busy", "", 0, {"elsewhere"}), nullptr);
  writer.reset();
  EXPECT_NE(Open("busy"), nullptr);
  EXPECT_EQ(OpenCode(""), absl::StatusCode::kInvalidArgument);
}

TEST_F(ContentStoreTest, AnUploadGoesOnAfterARestartWithTheRightHash) {
  auto writer = Open("r", HashString("first second").text(), 12);
  ASSERT_TRUE(writer->Write("first ").ok());
  writer.reset();
  database_.Reopen();
  Reopen();
  const auto status = store_->GetStatus(caller_, "r");
  ASSERT_TRUE(status.ok()) << status.status();
  EXPECT_EQ(status->offset(), 6);
  EXPECT_EQ(status->total(), 12);
  EXPECT_EQ(status->expected(), HashString("first second").text());
  writer = Open("r", HashString("first second").text(), 12);
  EXPECT_EQ(writer->offset(), 6u);
  EXPECT_EQ(writer->CurrentDigest(), HashString("first ").text());
  ASSERT_TRUE(writer->Write("second").ok());
  EXPECT_TRUE(writer->Commit(12, HashString("first second").text(), {}).ok());
  EXPECT_EQ(store_->GetStatus(caller_, "r").status().code(), absl::StatusCode::kNotFound);
}

TEST_F(ContentStoreTest, TruncateBeginsAnew) {
  auto writer = Open("r");
  ASSERT_TRUE(writer->Write("wrong").ok());
  ASSERT_TRUE(writer->Truncate().ok());
  EXPECT_EQ(writer->offset(), 0u);
  ASSERT_TRUE(writer->Write("ok").ok());
  const auto info = writer->Commit(2, HashString("ok").text(), {});
  EXPECT_TRUE(info.ok()) << info.status();
  EXPECT_EQ(Read(HashString("ok").text()), "ok");
}

TEST_F(ContentStoreTest, AnotherSizeOrDigestIsRefusedAndTheUploadStays) {
  auto writer = Open("r");
  ASSERT_TRUE(writer->Write("data").ok());
  const auto size = writer->Commit(5, "", {});
  EXPECT_EQ(size.status().code(), absl::StatusCode::kFailedPrecondition);
  const auto digest = writer->Commit(4, HashString("other").text(), {});
  EXPECT_EQ(digest.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(absl::StrContains(digest.status().message(), HashString("data").text()));
  EXPECT_TRUE(absl::StrContains(digest.status().message(), HashString("other").text()));
  Labels labels;
  labels["k"] = std::string(5000, 'v');
  EXPECT_EQ(writer->Commit(4, "", labels).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(store_->GetStatus(caller_, "r")->offset(), 4);
  EXPECT_FALSE(Exists(BlobPath("data")));
  EXPECT_TRUE(writer->Commit(4, "", {}).ok());
}

TEST_F(ContentStoreTest, AKnownDigestIsReportedWhenTheUploadOpens) {
  ASSERT_TRUE(Put("known").ok());
  ASSERT_TRUE(leases_.Create(caller_, "lease", {}).ok());
  EXPECT_EQ(OpenCode("r", HashString("known").text(), 0, {"default", "lease"}),
            absl::StatusCode::kAlreadyExists);
  const auto held = leases_.ListResources(caller_, "lease");
  ASSERT_TRUE(held.ok()) << held.status();
  ASSERT_EQ(held->size(), 1u);
  EXPECT_EQ((*held)[0].id(), HashString("known").text());
  EXPECT_EQ(store_->ListStatuses(caller_, {})->size(), 0u);
}

TEST_F(ContentStoreTest, ASecondCommitOfTheSameBytesIsAlreadyExistsAndKeepsTheLabels) {
  Labels labels;
  labels["first"] = "1";
  ASSERT_TRUE(Put("same", caller_, labels).ok());
  labels["second"] = "2";
  EXPECT_EQ(Put("same", caller_, labels).code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(store_->GetInfo(caller_, HashString("same").text())->labels_size(), 1);
  EXPECT_EQ(store_->ListStatuses(caller_, {})->size(), 0u);
  EXPECT_EQ(IngestFiles(), 0u);
}

TEST_F(ContentStoreTest, SharedNamespacesAttachABlobByItsDigest) {
  ASSERT_TRUE(Put("shared").ok());
  const std::string digest = HashString("shared").text();
  const Caller other{"other"};
  EXPECT_EQ(Read(digest, other), store_->OpenBlob(other, digest).status().ToString());
  EXPECT_EQ(store_->GetInfo(other, digest).status().code(), absl::StatusCode::kNotFound);
  {
    auto writer = Open("r", digest, 6, other);
    EXPECT_EQ(writer->offset(), 6u);
    EXPECT_EQ(writer->CurrentDigest(), digest);
    EXPECT_EQ(store_->GetStatus(other, "r")->offset(), 6);
    EXPECT_TRUE(writer->Commit(6, digest, {}).ok());
  }
  EXPECT_EQ(Read(digest, other), "shared");
  // Each namespace may let go of it; the bytes go with the last.
  ASSERT_TRUE(store_->Delete(caller_, digest).ok());
  EXPECT_EQ(Read(digest, other), "shared");
  EXPECT_EQ(store_->GetInfo(caller_, digest).status().code(), absl::StatusCode::kNotFound);
  ASSERT_TRUE(store_->Delete(other, digest).ok());
  EXPECT_FALSE(Exists(BlobPath("shared")));
}

TEST_F(ContentStoreTest, ASharedUploadThatIsWrittenToGetsBytesOfItsOwn) {
  ASSERT_TRUE(Put("shared").ok());
  auto writer = Open("r", HashString("shared").text(), 0, {"other"});
  ASSERT_TRUE(writer->Write(" more").ok());
  EXPECT_EQ(writer->CurrentDigest(), HashString("shared more").text());
  ASSERT_TRUE(writer->Truncate().ok());
  ASSERT_TRUE(writer->Write("new").ok());
  EXPECT_TRUE(writer->Commit(3, HashString("new").text(), {}).ok());
  EXPECT_EQ(Read(HashString("shared").text()), "shared");
}

TEST_F(ContentStoreTest, ASharedUploadOfAnotherSizeIsAPlainOne) {
  ASSERT_TRUE(Put("shared").ok());
  EXPECT_EQ(Open("r", HashString("shared").text(), 7, {"other"})->offset(), 0u);
}

TEST_F(ContentStoreTest, IsolatedNamespacesMustWriteTheBytes) {
  Reopen({SharingPolicy::kIsolated});
  ASSERT_TRUE(Put("secret").ok());
  const std::string digest = HashString("secret").text();
  auto writer = Open("r", digest, 6, {"other"});
  EXPECT_EQ(writer->offset(), 0u);
  EXPECT_EQ(writer->Commit(0, digest, {}).status().code(), absl::StatusCode::kFailedPrecondition);
  ASSERT_TRUE(writer->Write("secret").ok());
  EXPECT_TRUE(writer->Commit(6, digest, {}).ok());
  EXPECT_EQ(Read(digest, {"other"}), "secret");
}

TEST_F(ContentStoreTest, LabelsChangeByMaskAndByNone) {
  Labels labels;
  labels["a"] = "1";
  labels["b"] = "2";
  ASSERT_TRUE(Put("x", caller_, labels).ok());
  ContentStore::Info info;
  info.set_digest(HashString("x").text());
  (*info.mutable_labels())["a"] = "3";
  auto updated = store_->Update(caller_, info, std::vector<std::string>{"labels.a", "labels.b"});
  ASSERT_TRUE(updated.ok()) << updated.status();
  EXPECT_EQ(updated->labels().at("a"), "3");
  EXPECT_EQ(updated->labels_size(), 1);
  (*info.mutable_labels())["c"] = "4";
  updated = store_->Update(caller_, info, {});
  EXPECT_EQ(updated->labels_size(), 2);
  EXPECT_EQ(store_->Update(caller_, info, {{"size"}}).status().code(),
            absl::StatusCode::kInvalidArgument);
  info.set_digest(HashString("missing").text());
  EXPECT_EQ(store_->Update(caller_, info, {}).status().code(), absl::StatusCode::kNotFound);
  info.set_digest("sha256:short");
  EXPECT_EQ(store_->Update(caller_, info, {}).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(ContentStoreTest, OnlyLabelsThatHoldSomethingAreAReleaseWhenTheyGo) {
  Labels labels;
  labels["plain"] = "1";
  labels["containerd.io/gc.ref.content.0"] = HashString("y").text();
  ASSERT_TRUE(Put("x", caller_, labels).ok());
  ContentStore::Info info;
  info.set_digest(HashString("x").text());
  ASSERT_TRUE(store_->Update(caller_, info, {{"labels.plain"}}).ok());
  EXPECT_EQ(releases_.releases, 0);
  ASSERT_TRUE(store_->Update(caller_, info, {{"labels.containerd.io/gc.ref.content.0"}}).ok());
  EXPECT_EQ(releases_.releases, 1);
  ASSERT_TRUE(store_->Delete(caller_, info.digest()).ok());
  EXPECT_EQ(releases_.releases, 1);
  ASSERT_TRUE(Put("x", caller_, labels).ok());
  ASSERT_TRUE(store_->Delete(caller_, info.digest()).ok());
  EXPECT_EQ(releases_.releases, 2);
}

TEST_F(ContentStoreTest, ListsComeInPagesAndFiltered) {
  Labels labels;
  labels["kind"] = "even";
  for (int i = 0; i < 10; ++i) {
    ASSERT_TRUE(Put(absl::StrCat(i), caller_, i % 2 == 0 ? labels : Labels()).ok());
  }
  std::string after;
  int pages = 0;
  size_t count = 0;
  do {
    const auto page = store_->List(caller_, {}, after, 4);
    ASSERT_TRUE(page.ok()) << page.status();
    count += page->infos.size();
    after = page->after;
    ++pages;
  } while (!after.empty());
  EXPECT_EQ(count, 10u);
  EXPECT_EQ(pages, 3);
  EXPECT_EQ(store_->List(caller_, {{"labels.kind==even"}}, "", 100)->infos.size(), 5u);
  EXPECT_EQ(store_->List(caller_, {{absl::StrCat("digest==", HashString("3").text())}}, "", 100)
                ->infos.size(),
            1u);
  EXPECT_EQ(store_->List({"other"}, {}, "", 100)->infos.size(), 0u);
}

TEST_F(ContentStoreTest, AbortRemovesAnUploadEvenWhileItIsOpen) {
  auto writer = Open("r");
  ASSERT_TRUE(writer->Write("x").ok());
  EXPECT_TRUE(store_->Abort(caller_, "r").ok());
  EXPECT_EQ(IngestFiles(), 0u);
  EXPECT_FALSE(writer->Commit(0, "", {}).ok());
  EXPECT_FALSE(Exists(BlobPath("x")));
  writer.reset();
  EXPECT_EQ(store_->Abort(caller_, "r").code(), absl::StatusCode::kNotFound);
}

TEST_F(ContentStoreTest, AnUnknownLeaseRefusesTheUploadAndLeavesNothing) {
  EXPECT_EQ(OpenCode("r", "", 0, {"default", "missing"}), absl::StatusCode::kNotFound);
  EXPECT_EQ(store_->ListStatuses(caller_, {})->size(), 0u);
  EXPECT_EQ(OpenCode("r"), absl::StatusCode::kOk);  // and the ref is not locked
}

TEST_F(ContentStoreTest, ALeaseHoldsTheUploadAndThenTheBlob) {
  ASSERT_TRUE(leases_.Create(caller_, "lease", {}).ok());
  const Caller leased{"default", "lease"};
  auto writer = Open("r", "", 0, leased);
  auto held = leases_.ListResources(caller_, "lease");
  ASSERT_EQ(held->size(), 1u);
  EXPECT_EQ((*held)[0].type(), "ingests");
  ASSERT_TRUE(writer->Write("x").ok());
  ASSERT_TRUE(writer->Commit(0, "", {}).ok());
  held = leases_.ListResources(caller_, "lease");
  ASSERT_EQ(held->size(), 1u);
  EXPECT_EQ((*held)[0].type(), "content");
  EXPECT_EQ((*held)[0].id(), HashString("x").text());
}

TEST_F(ContentStoreTest, UploadsLiveADayOrAsLongAsTheirLease) {
  ASSERT_TRUE(leases_.Create(caller_, "lease", {}).ok());
  Open("free").reset();
  Open("leased", "", 0, {"default", "lease"}).reset();
  IngestCollector collector(*store_);
  const auto rooted = [&](absl::Time now) {
    std::vector<std::string> names;
    EXPECT_TRUE(database_
                    ->Read([&](sqlite::Connection& connection) {
                      return collector.ForEach(connection, now, [&](ObjectId id, Rooted root) {
                        if (root == Rooted::kYes) names.push_back(id.name);
                      });
                    })
                    .ok());
    return names;
  };
  EXPECT_EQ(rooted(absl::Now() + absl::Hours(23)), std::vector<std::string>{"free"});
  EXPECT_EQ(rooted(absl::Now() + absl::Hours(25)), std::vector<std::string>());

  const auto open = Open("free");
  std::vector<ObjectId> removed;
  ASSERT_TRUE(database_
                  ->Write(sqlite::WriteMode::kDurable,
                          [&](sqlite::Connection& connection) -> absl::Status {
                            removed = *collector.RemoveRecords(
                                connection, {{ObjectKind::kIngest, "default", "free"},
                                             {ObjectKind::kIngest, "default", "leased"},
                                             {ObjectKind::kIngest, "default", "missing"}});
                            return absl::OkStatus();
                          })
                  .ok());
  ASSERT_EQ(removed.size(), 1u);
  EXPECT_EQ(removed[0].name, "leased");
  ASSERT_TRUE(collector.RemoveData(removed).ok());
  EXPECT_EQ(IngestFiles(), 1u);
}

TEST_F(ContentStoreTest, CollectionKeepsBytesThatAnotherNamespaceNames) {
  ASSERT_TRUE(Put("x").ok());
  ASSERT_TRUE(Put("x", {"other"}).ok());
  BlobCollector collector(*store_);
  for (const char* ns : {"default", "other"}) {
    const ObjectId object{ObjectKind::kContent, ns, HashString("x").text()};
    ASSERT_TRUE(database_
                    ->Write(sqlite::WriteMode::kDurable,
                            [&](sqlite::Connection& connection) {
                              return collector.RemoveRecords(connection, {object}).status();
                            })
                    .ok());
    ASSERT_TRUE(collector.RemoveData({object}).ok());
    EXPECT_EQ(Exists(BlobPath("x")), std::string(ns) == "default");
  }
}

TEST_F(ContentStoreTest, ADamagedBlobIsQuarantinedAndCanBeFetchedAgain) {
  ASSERT_TRUE(Put("precious").ok());
  ASSERT_TRUE(Put("precious", {"other"}).ok());
  const std::string digest = HashString("precious").text();
  EXPECT_TRUE(store_->Verify(caller_, digest).ok());
  ::chmod(BlobPath("precious").c_str(), 0644);
  const auto file = OpenFile(BlobPath("precious"), O_WRONLY);
  ASSERT_EQ(::pwrite(file->get(), "X", 1, 3), 1);
  EXPECT_EQ(store_->Verify(caller_, digest).code(), absl::StatusCode::kDataLoss);
  EXPECT_FALSE(Exists(BlobPath("precious")));
  EXPECT_EQ(store_->GetInfo({"other"}, digest).status().code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(Put("precious").ok());
  EXPECT_EQ(Read(digest), "precious");
}

TEST_F(ContentStoreTest, AMissingBlobIsForgottenSoThatItCanBeFetchedAgain) {
  ASSERT_TRUE(Put("lost").ok());
  ::unlink(BlobPath("lost").c_str());
  const auto blob = store_->OpenBlob(caller_, HashString("lost").text());
  EXPECT_EQ(blob.status().code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(absl::StrContains(blob.status().message(), "pull"));
  EXPECT_TRUE(Put("lost").ok());
  EXPECT_EQ(Read(HashString("lost").text()), "lost");
}

TEST_F(ContentStoreTest, WhatACrashLeftIsRemoved) {
  ASSERT_TRUE(Put("kept").ok());
  Open("upload").reset();
  ASSERT_TRUE(
      ReplaceFileAt(BorrowedFd(AT_FDCWD), BlobPath("orphan"), "orphan", 0444, Durability::kUnsynced)
          .ok());
  ASSERT_TRUE(store_->files().OpenIngest("orphan").ok());
  ASSERT_TRUE(store_->RemoveLeftovers().ok());
  EXPECT_TRUE(Exists(BlobPath("kept")));
  EXPECT_FALSE(Exists(BlobPath("orphan")));
  EXPECT_EQ(IngestFiles(), 1u);
}

TEST_F(ContentStoreTest, AFullDiskSaysSoAndKeepsWhatWasThere) {
  const std::string ingest = Directory() + "/ingest";
  store_.reset();
  // The whole store on a small filesystem: an upload and its blob are hard links of each other.
  ASSERT_EQ(::mount("tmpfs", Directory().c_str(), "tmpfs", 0, "size=1m"), 0);
  Reopen();
  {
    auto writer = Open("r");
    ASSERT_TRUE(writer->Write("begin").ok());
    const absl::Status full = writer->Write(std::string(2 << 20, 'x'));
    EXPECT_EQ(full.code(), absl::StatusCode::kResourceExhausted) << full;
    EXPECT_TRUE(absl::StrContains(full.message(), "free space")) << full;
    EXPECT_EQ(writer->offset(), 5u);
    EXPECT_EQ(store_->GetStatus(caller_, "r")->offset(), 5);
    const auto info = writer->Commit(5, HashString("begin").text(), {});
    EXPECT_TRUE(info.ok()) << info.status();
    EXPECT_EQ(Read(HashString("begin").text()), "begin");
  }
  store_.reset();
  ::umount2(Directory().c_str(), MNT_DETACH);
}

TEST_F(ContentStoreTest, MalformedDigestsAreRefusedEverywhere) {
  EXPECT_EQ(store_->GetInfo(caller_, "sha256:../x").status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(store_->Delete(caller_, "x").code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(store_->OpenBlob(caller_, "").status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(OpenCode("r", "md5:1"), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(store_->Delete(caller_, HashString("missing").text()).code(),
            absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace berth::content
