#include "server/metadata/snapshot_store.h"

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/metadata/lease_store.h"
#include "server/metadata/test_database.h"
#include "snapshotter/native/native_snapshotter.h"
#include "snapshotter/overlay/overlay_snapshotter.h"

namespace berth::metadata {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

namespace api = containerd::services::snapshots::v1;

constexpr char kOverlay[] = "overlayfs";
constexpr char kNative[] = "native";

absl::StatusCode CodeOf(const absl::Status& status) { return status.code(); }
template <typename T>
absl::StatusCode CodeOf(const absl::StatusOr<T>& value) {
  return value.status().code();
}

Labels MakeLabels(std::initializer_list<std::pair<const char*, const char*>> pairs) {
  Labels labels;
  for (const auto& [key, value] : pairs) labels[key] = value;
  return labels;
}

class Listener final : public ChangeListener {
 public:
  void OnChange(Change change) override { changes.push_back(change); }
  std::vector<Change> changes;
};

class SnapshotStoreTest : public testing::Test {
 protected:
  void SetUp() override { OpenBackends(); }

  void OpenBackends() {
    store_.reset();
    overlay_.reset();
    native_.reset();
    auto overlay = snapshots::OpenOverlaySnapshotter(
        {.root = absl::StrCat(database_.directory(), "/overlayfs"), .mount_options = {}},
        *database_);
    ASSERT_TRUE(overlay.ok()) << overlay.status();
    overlay_ = *std::move(overlay);
    auto native = snapshots::OpenNativeSnapshotter(
        {.root = absl::StrCat(database_.directory(), "/native")}, *database_);
    ASSERT_TRUE(native.ok()) << native.status();
    native_ = *std::move(native);
    store_ = std::make_unique<SnapshotStore>(
        *database_, std::vector<snapshots::Snapshotter*>{overlay_.get(), native_.get()},
        &listener_);
  }

  absl::Status Prepare(const Caller& caller, const std::string& key, const std::string& parent = "",
                       const Labels& labels = {}) {
    return store_->Prepare(caller, kOverlay, {key, parent, labels}).status();
  }
  absl::Status Commit(const Caller& caller, const std::string& name, const std::string& key,
                      const std::string& parent = "", const Labels& labels = {}) {
    return store_->Commit(caller, kOverlay, {name, key, parent, labels});
  }
  void MakeCommitted(const Caller& caller, const std::string& name,
                     const std::string& parent = "") {
    ASSERT_TRUE(Prepare(caller, "making " + name, parent).ok());
    ASSERT_TRUE(Commit(caller, name, "making " + name).ok());
  }
  std::vector<std::string> LeaseHolds(const std::string& lease) {
    std::vector<std::string> held;
    const auto resources = leases_.ListResources(caller_, lease);
    EXPECT_TRUE(resources.ok()) << resources.status();
    for (const auto& resource : *resources) {
      held.push_back(absl::StrCat(resource.type(), " ", resource.id()));
    }
    return held;
  }
  std::vector<snapshots::Info> BackendSnapshots() {
    std::vector<snapshots::Info> all;
    EXPECT_TRUE(overlay_
                    ->Walk([&](const snapshots::Info& info) {
                      all.push_back(info);
                      return absl::OkStatus();
                    })
                    .ok());
    return all;
  }
  std::vector<std::string> Names(const std::vector<std::string>& filters) {
    const auto filter = Filter::Compile(filters);
    EXPECT_TRUE(filter.ok()) << filter.status();
    const auto infos = store_->List(caller_, kOverlay, *filter, "", 1000);
    EXPECT_TRUE(infos.ok()) << infos.status();
    std::vector<std::string> names;
    for (const auto& info : *infos) names.push_back(info.name());
    return names;
  }

  TestDatabase database_;
  LeaseStore leases_{*database_};
  Listener listener_;
  std::unique_ptr<snapshots::Snapshotter> overlay_;
  std::unique_ptr<snapshots::Snapshotter> native_;
  std::unique_ptr<SnapshotStore> store_;
  const Caller caller_{"default", ""};
};

TEST_F(SnapshotStoreTest, KeysArePrivateToNamespaceAndSnapshotter) {
  const Caller other{"other", ""};
  ASSERT_TRUE(Prepare(caller_, "key").ok());
  ASSERT_TRUE(Prepare(other, "key").ok());
  ASSERT_TRUE(store_->Prepare(caller_, kNative, {"key", "", {}}).ok());
  EXPECT_EQ(CodeOf(Prepare(caller_, "key")), absl::StatusCode::kAlreadyExists);
  MakeCommitted(other, "theirs");
  EXPECT_EQ(CodeOf(store_->Stat(caller_, kOverlay, "theirs")), absl::StatusCode::kNotFound);
  EXPECT_EQ(CodeOf(Prepare(caller_, "new", "theirs")), absl::StatusCode::kNotFound);
  EXPECT_TRUE(store_->Remove(caller_, kOverlay, "key").ok());
  EXPECT_TRUE(store_->Stat(other, kOverlay, "key").ok());
  EXPECT_TRUE(store_->Stat(caller_, kNative, "key").ok());
}

TEST_F(SnapshotStoreTest, TheSnapshotterMustBeNamedAndLoaded) {
  for (const char* name : {"", "zfs"}) {
    EXPECT_EQ(CodeOf(store_->Stat(caller_, name, "key")), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(CodeOf(store_->Prepare(caller_, name, {"key", "", {}})),
              absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(CodeOf(store_->List(caller_, name, Filter(), "", 1)),
              absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(CodeOf(store_->Cleanup(name)), absl::StatusCode::kInvalidArgument);
  }
  EXPECT_THAT(std::string(store_->Cleanup("zfs").message()),
              HasSubstr("snapshotter not loaded: zfs"));
}

TEST_F(SnapshotStoreTest, StatTellsWhatWasAskedFor) {
  MakeCommitted(caller_, "base");
  ASSERT_TRUE(Prepare(caller_, "key", "base", MakeLabels({{"a", "1"}, {"empty", ""}})).ok());
  ASSERT_TRUE(store_->View(caller_, kOverlay, {"view", "base", {}}).ok());
  const auto info = store_->Stat(caller_, kOverlay, "key");
  ASSERT_TRUE(info.ok()) << info.status();
  EXPECT_EQ(info->name(), "key");
  EXPECT_EQ(info->parent(), "base");
  EXPECT_EQ(info->kind(), api::ACTIVE);
  EXPECT_EQ(info->labels().size(), 1u);
  EXPECT_EQ(info->labels().at("a"), "1");
  EXPECT_EQ(info->created_at().seconds(), info->updated_at().seconds());
  EXPECT_GT(info->created_at().seconds(), 0);
  EXPECT_EQ(store_->Stat(caller_, kOverlay, "view")->kind(), api::VIEW);
  EXPECT_EQ(store_->Stat(caller_, kOverlay, "base")->kind(), api::COMMITTED);
}

TEST_F(SnapshotStoreTest, OnlySnapshotLabelsReachTheBackend) {
  const std::string too_long(5000, 'x');
  EXPECT_EQ(CodeOf(Prepare(caller_, "key", "", MakeLabels({{"a", too_long.c_str()}}))),
            absl::StatusCode::kInvalidArgument);
  const Labels labels = MakeLabels({{"containerd.io/snapshot/x", "1"},
                                    {"containerd.io/snapshot.ref", "ref"},
                                    {"containerd.io/gc.root", "now"},
                                    {"mine", "2"}});
  ASSERT_TRUE(Prepare(caller_, "key", "", labels).ok());
  const auto below = BackendSnapshots();
  ASSERT_THAT(below, SizeIs(1));
  EXPECT_EQ(below[0].labels, (snapshots::Labels{{"containerd.io/snapshot/x", "1"},
                                                {"containerd.io/snapshot.ref", "ref"}}));
  EXPECT_EQ(store_->Stat(caller_, kOverlay, "key")->labels().size(), 4u);
}

TEST_F(SnapshotStoreTest, PrepareForAnExistingReferenceSaysSoAndLeasesIt) {
  MakeCommitted(caller_, "chain");
  ASSERT_TRUE(leases_.Create(caller_, "lease", {}).ok());
  const Caller leased{"default", "lease"};
  const Labels labels = MakeLabels({{"containerd.io/snapshot.ref", "chain"}});
  const absl::Status status = Prepare(leased, "extract-1 chain", "", labels);
  EXPECT_EQ(CodeOf(status), absl::StatusCode::kAlreadyExists);
  EXPECT_THAT(std::string(status.message()), HasSubstr("chain"));
  EXPECT_THAT(LeaseHolds("lease"), ElementsAre("snapshots/overlayfs chain"));
  EXPECT_EQ(CodeOf(store_->Stat(caller_, kOverlay, "extract-1 chain")),
            absl::StatusCode::kNotFound);
}

TEST_F(SnapshotStoreTest, LeasesHoldWhatIsMadeAndFollowACommit) {
  ASSERT_TRUE(leases_.Create(caller_, "lease", {}).ok());
  const Caller leased{"default", "lease"};
  ASSERT_TRUE(Prepare(leased, "key").ok());
  EXPECT_THAT(LeaseHolds("lease"), ElementsAre("snapshots/overlayfs key"));
  ASSERT_TRUE(Commit(leased, "name", "key").ok());
  EXPECT_THAT(LeaseHolds("lease"), ElementsAre("snapshots/overlayfs name"));

  // What exists already joins the lease all the same.
  MakeCommitted(caller_, "old");
  ASSERT_TRUE(Prepare(caller_, "free").ok());
  EXPECT_EQ(CodeOf(Commit(leased, "old", "free")), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(CodeOf(Prepare(leased, "free")), absl::StatusCode::kAlreadyExists);
  EXPECT_THAT(LeaseHolds("lease"),
              ElementsAre("snapshots/overlayfs free", "snapshots/overlayfs name",
                          "snapshots/overlayfs old"));
}

TEST_F(SnapshotStoreTest, AnUnknownLeaseLeavesNothingBehind) {
  const Caller leased{"default", "nothing"};
  EXPECT_EQ(CodeOf(Prepare(leased, "key")), absl::StatusCode::kNotFound);
  EXPECT_EQ(CodeOf(store_->Stat(caller_, kOverlay, "key")), absl::StatusCode::kNotFound);
  EXPECT_THAT(BackendSnapshots(), IsEmpty());
  ASSERT_TRUE(Prepare(caller_, "key").ok());
  EXPECT_EQ(CodeOf(Commit(leased, "name", "key")), absl::StatusCode::kNotFound);
  EXPECT_EQ(store_->Stat(caller_, kOverlay, "key")->kind(), api::ACTIVE);
}

TEST_F(SnapshotStoreTest, CommitKeepsOnlyItsOwnLabels) {
  ASSERT_TRUE(Prepare(caller_, "key", "", MakeLabels({{"active", "1"}})).ok());
  ASSERT_TRUE(Commit(caller_, "name", "key", "",
                     MakeLabels({{"committed", "2"}, {"containerd.io/snapshot/x", "3"}}))
                  .ok());
  const auto info = store_->Stat(caller_, kOverlay, "name");
  ASSERT_TRUE(info.ok()) << info.status();
  EXPECT_EQ(info->labels().size(), 2u);
  EXPECT_FALSE(info->labels().contains("active"));
  EXPECT_EQ(BackendSnapshots()[0].labels, (snapshots::Labels{{"containerd.io/snapshot/x", "3"}}));
  EXPECT_TRUE(Prepare(caller_, "key").ok());
}

TEST_F(SnapshotStoreTest, CodesOfWrongStates) {
  MakeCommitted(caller_, "name");
  ASSERT_TRUE(Prepare(caller_, "active", "name").ok());
  ASSERT_TRUE(store_->View(caller_, kOverlay, {"view", "name", {}}).ok());
  EXPECT_EQ(CodeOf(Commit(caller_, "new", "view")), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(CodeOf(Commit(caller_, "new", "name")), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(CodeOf(Commit(caller_, "new", "nothing")), absl::StatusCode::kNotFound);
  EXPECT_EQ(CodeOf(Prepare(caller_, "new", "active")), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(CodeOf(Prepare(caller_, "new", "nothing")), absl::StatusCode::kNotFound);
  EXPECT_EQ(CodeOf(Prepare(caller_, "")), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(CodeOf(store_->GetMounts(caller_, kOverlay, "name")),
            absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(CodeOf(store_->GetMounts(caller_, kOverlay, "nothing")), absl::StatusCode::kNotFound);
  EXPECT_EQ(CodeOf(store_->GetUsage(caller_, kOverlay, "nothing")), absl::StatusCode::kNotFound);
  EXPECT_EQ(CodeOf(store_->Remove(caller_, kOverlay, "name")),
            absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(CodeOf(store_->Remove(caller_, kOverlay, "nothing")), absl::StatusCode::kNotFound);
}

TEST_F(SnapshotStoreTest, AParentMayBeGivenAtCommit) {
  MakeCommitted(caller_, "base");
  ASSERT_TRUE(Prepare(caller_, "key").ok());
  EXPECT_EQ(CodeOf(Commit(caller_, "top", "key", "nothing")), absl::StatusCode::kNotFound);
  ASSERT_TRUE(Commit(caller_, "top", "key", "base").ok());
  EXPECT_EQ(store_->Stat(caller_, kOverlay, "top")->parent(), "base");
  EXPECT_EQ(CodeOf(store_->Remove(caller_, kOverlay, "base")),
            absl::StatusCode::kFailedPrecondition);
  ASSERT_TRUE(Prepare(caller_, "on top", "top").ok());
  EXPECT_EQ(CodeOf(Commit(caller_, "new", "on top", "base")),
            absl::StatusCode::kFailedPrecondition);

  ASSERT_TRUE(store_->Prepare(caller_, kNative, {"a", "", {}}).ok());
  ASSERT_TRUE(store_->Commit(caller_, kNative, {"one", "a", "", {}}).ok());
  ASSERT_TRUE(store_->Prepare(caller_, kNative, {"b", "", {}}).ok());
  EXPECT_EQ(CodeOf(store_->Commit(caller_, kNative, {"two", "b", "one", {}})),
            absl::StatusCode::kUnimplemented);
}

TEST_F(SnapshotStoreTest, UpdateFollowsTheMask) {
  ASSERT_TRUE(Prepare(caller_, "key", "", MakeLabels({{"a", "1"}, {"b", "2"}})).ok());
  api::Info wanted;
  wanted.set_name("key");
  *wanted.mutable_labels() = MakeLabels({{"a", "one"}, {"containerd.io/snapshot/x", "y"}});
  const auto update = [&](std::vector<std::string> mask) {
    return store_->Update(caller_, kOverlay, wanted, mask);
  };
  EXPECT_EQ(CodeOf(update({"parent"})), absl::StatusCode::kInvalidArgument);
  auto updated = update({"labels.a", "labels.b"});
  ASSERT_TRUE(updated.ok()) << updated.status();
  EXPECT_EQ(updated->labels().size(), 1u);
  EXPECT_EQ(updated->labels().at("a"), "one");
  EXPECT_THAT(BackendSnapshots()[0].labels, IsEmpty());
  updated = update({});
  EXPECT_EQ(updated->labels().size(), 2u);
  EXPECT_THAT(BackendSnapshots()[0].labels, SizeIs(1));
  EXPECT_EQ(store_->Stat(caller_, kOverlay, "key")->labels().size(), 2u);
  wanted.set_name("nothing");
  EXPECT_EQ(CodeOf(update({})), absl::StatusCode::kNotFound);
  wanted.set_name("");
  EXPECT_EQ(CodeOf(update({})), absl::StatusCode::kInvalidArgument);
}

TEST_F(SnapshotStoreTest, ListFiltersAndPages) {
  MakeCommitted(caller_, "base");
  ASSERT_TRUE(Prepare(caller_, "active", "base", MakeLabels({{"a.b", "c"}})).ok());
  ASSERT_TRUE(store_->View(caller_, kOverlay, {"view", "base", {}}).ok());
  ASSERT_TRUE(Prepare({"other", ""}, "theirs").ok());
  EXPECT_THAT(Names({}), ElementsAre("active", "base", "view"));
  EXPECT_THAT(Names({"kind==active"}), ElementsAre("active"));
  EXPECT_THAT(Names({"kind==committed", "name==view"}), ElementsAre("base", "view"));
  EXPECT_THAT(Names({"parent==base,kind==view"}), ElementsAre("view"));
  EXPECT_THAT(Names({"labels.\"a.b\"==c"}), ElementsAre("active"));

  for (int i = 0; i < 205; ++i) {
    ASSERT_TRUE(store_->View(caller_, kOverlay, {absl::StrCat("z", 1000 + i), "base", {}}).ok());
  }
  const auto filter = Filter::Compile(std::vector<std::string>{"name~=^z"});
  const auto first = store_->List(caller_, kOverlay, *filter, "", 100);
  ASSERT_THAT(*first, SizeIs(100));
  const auto second = store_->List(caller_, kOverlay, *filter, first->back().name(), 1000);
  ASSERT_THAT(*second, SizeIs(105));
  EXPECT_EQ(second->back().name(), "z1204");
}

TEST_F(SnapshotStoreTest, RemoveTakesTheBackendsSnapshotToo) {
  ASSERT_TRUE(Prepare(caller_, "key").ok());
  listener_.changes.clear();
  ASSERT_TRUE(store_->Remove(caller_, kOverlay, "key").ok());
  EXPECT_THAT(BackendSnapshots(), IsEmpty());
  EXPECT_THAT(listener_.changes, ElementsAre(Change::kReleased));
  EXPECT_TRUE(Prepare(caller_, "key").ok());
}

TEST_F(SnapshotStoreTest, AnInterruptedRemovalIsFinishedAtTheNextStart) {
  MakeCommitted(caller_, "base");
  MakeCommitted(caller_, "top", "base");
  const ObjectId base{ObjectKind::kSnapshot, "default", "overlayfs/base"};
  const ObjectId top{ObjectKind::kSnapshot, "default", "overlayfs/top"};
  std::vector<ObjectId> removed;
  ASSERT_TRUE(database_
                  ->Write(sqlite::WriteMode::kDurable,
                          [&](sqlite::Connection& connection) -> absl::Status {
                            // The parent still has a child when its turn comes first.
                            auto result = store_->RemoveRecords(connection, {base, top, base});
                            if (result.ok()) removed = *std::move(result);
                            return result.status();
                          })
                  .ok());
  EXPECT_THAT(removed, ElementsAre(top, base));
  EXPECT_THAT(Names({}), IsEmpty());
  EXPECT_THAT(BackendSnapshots(), SizeIs(2));

  overlay_.reset();
  native_.reset();
  database_.Reopen();
  OpenBackends();
  ASSERT_TRUE(store_->RemoveLeftovers().ok());
  EXPECT_THAT(BackendSnapshots(), IsEmpty());
}

TEST_F(SnapshotStoreTest, CollectionSeesParentsAndRootsNothing) {
  MakeCommitted(caller_, "base");
  ASSERT_TRUE(Prepare(caller_, "key", "base").ok());
  std::vector<std::string> seen;
  std::vector<std::string> parents;
  ASSERT_TRUE(database_
                  ->Read([&](sqlite::Connection& connection) -> absl::Status {
                    const absl::Status walked = store_->ForEach(
                        connection, absl::Now(), [&](const ObjectId& object, Rooted rooted) {
                          EXPECT_EQ(rooted, Rooted::kNo);
                          seen.push_back(object.name);
                        });
                    if (!walked.ok()) return walked;
                    return store_->References(
                        connection, {ObjectKind::kSnapshot, "default", "overlayfs/key"},
                        [&](const ObjectId& object) { parents.push_back(object.name); });
                  })
                  .ok());
  EXPECT_THAT(seen, ::testing::UnorderedElementsAre("overlayfs/base", "overlayfs/key"));
  EXPECT_THAT(parents, ElementsAre("overlayfs/base"));
}

TEST_F(SnapshotStoreTest, UsageAndMountsComeFromTheBackend) {
  ASSERT_TRUE(Prepare(caller_, "key").ok());
  const auto usage = store_->GetUsage(caller_, kOverlay, "key");
  ASSERT_TRUE(usage.ok()) << usage.status();
  EXPECT_EQ(usage->inodes, 1);
  const auto mounts = store_->GetMounts(caller_, kOverlay, "key");
  ASSERT_TRUE(mounts.ok()) << mounts.status();
  EXPECT_EQ(mounts->front().type, "bind");
}

}  // namespace
}  // namespace berth::metadata
