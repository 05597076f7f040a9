#include "server/gc/collector.h"

#include <algorithm>
#include <functional>
#include <map>
#include <set>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "proto/containerd/events/image.pb.h"
#include "proto/containerd/events/snapshot.pb.h"
#include "server/gc/label_reference.h"
#include "server/metadata/container_store.h"
#include "server/metadata/gc_labels.h"
#include "server/metadata/image_store.h"
#include "server/metadata/lease_store.h"
#include "server/metadata/namespace_table.h"
#include "server/metadata/test_database.h"

namespace berth::gc {
namespace {

using metadata::Collectable;
using metadata::Labels;
using metadata::ObjectId;
using metadata::ObjectKind;
using metadata::Rooted;

// Objects in memory, with references as the test gives them; labels go to the real table.
class FakeStore final : public Collectable {
 public:
  explicit FakeStore(ObjectKind kind) : kind_(kind) {}

  ObjectKind kind() const override { return kind_; }
  absl::Status ForEach(sqlite::Connection&, absl::Time,
                       absl::FunctionRef<void(ObjectId, Rooted)> visit) override {
    for (const auto& [name, references] : objects_) {
      visit({kind_, "ns", name}, rooted_.contains(name) ? Rooted::kYes : Rooted::kNo);
    }
    return absl::OkStatus();
  }
  absl::Status References(sqlite::Connection&, const ObjectId& object,
                          absl::FunctionRef<void(ObjectId)> visit) override {
    const auto found = objects_.find(object.name);
    if (found == objects_.end()) return absl::OkStatus();
    for (const ObjectId& reference : found->second) visit(reference);
    return absl::OkStatus();
  }
  absl::StatusOr<std::vector<ObjectId>> RemoveRecords(sqlite::Connection& connection,
                                                      absl::Span<const ObjectId> objects) override {
    if (fail_) return absl::InternalError("no removal today");
    largest_step_ = std::max(largest_step_, objects.size());
    std::vector<ObjectId> removed;
    for (const ObjectId& object : objects) {
      order_.push_back(object.name);
      const absl::Status status = RemoveGcLabels(connection, object);
      if (!status.ok()) return status;
      if (objects_.erase(object.name) > 0) removed.push_back(object);
    }
    return removed;
  }
  absl::Status RemoveData(absl::Span<const ObjectId> removed) override {
    for (const ObjectId& object : removed) data_removed_.insert(object.name);
    return absl::OkStatus();
  }

  const ObjectKind kind_;
  std::map<std::string, std::vector<ObjectId>> objects_;
  std::set<std::string> rooted_;
  std::vector<std::string> order_;
  std::set<std::string> data_removed_;
  bool fail_ = false;
  size_t largest_step_ = 0;  // records removed in one transaction
};

class RecordingSink : public EventSink {
 public:
  void Publish(absl::string_view ns, absl::string_view topic,
               const google::protobuf::Message& event) override {
    std::string line = absl::StrCat(ns, " ", topic, " ");
    if (const auto* snapshot = dynamic_cast<const containerd::events::SnapshotRemove*>(&event)) {
      absl::StrAppend(&line, snapshot->snapshotter(), " ", snapshot->key());
    }
    using containerd::services::images::v1::ImageDelete;
    if (const auto* image = dynamic_cast<const ImageDelete*>(&event)) line += image->name();
    events_.push_back(line);
  }
  std::vector<std::string> events_;
};

std::string DigestOf(char c) { return absl::StrCat("sha256:", std::string(64, c)); }

class CollectorTest : public testing::Test {
 protected:
  static ObjectId Content(absl::string_view name) {
    return {ObjectKind::kContent, "ns", std::string(name)};
  }
  static ObjectId Snapshot(absl::string_view key) {
    return {ObjectKind::kSnapshot, "ns", absl::StrCat("native/", key)};
  }
  void AddContent(absl::string_view name) { content_.objects_[std::string(name)] = {}; }
  void AddSnapshot(absl::string_view key, absl::string_view parent = "") {
    auto& references = snapshots_.objects_[absl::StrCat("native/", key)];
    if (!parent.empty()) references.push_back(Snapshot(parent));
  }
  void Label(const ObjectId& object, absl::string_view label, absl::string_view value) {
    const absl::Status status = database_->Write(
        sqlite::WriteMode::kDelayed, [&](sqlite::Connection& connection) -> absl::Status {
          return connection.Run("INSERT INTO gc_labels VALUES (?, ?, ?, ?, ?)",
                                static_cast<int>(object.kind), object.ns, object.name,
                                absl::StrCat("containerd.io/gc.", label), value);
        });
    ASSERT_TRUE(status.ok()) << status;
  }
  void AddLease(absl::string_view id, const std::map<std::string, std::string>& labels,
                const std::vector<std::pair<std::string, std::string>>& resources) {
    Labels all;
    for (const auto& [key, value] : labels) all[absl::StrCat("containerd.io/gc.", key)] = value;
    ASSERT_TRUE(leases_.Create(caller_, std::string(id), all).ok());
    for (const auto& [type, resource_id] : resources) {
      metadata::LeaseStore::Resource resource;
      resource.set_type(type);
      resource.set_id(resource_id);
      ASSERT_TRUE(leases_.AddResource(caller_, id, resource).ok());
    }
  }
  void AddImage(absl::string_view name, absl::string_view digest, absl::string_view expire = "") {
    metadata::ImageStore::Image image;
    image.set_name(std::string(name));
    image.mutable_target()->set_digest(std::string(digest));
    image.mutable_target()->set_size(1);
    image.mutable_target()->set_media_type("m");
    if (!expire.empty()) {
      (*image.mutable_labels())["containerd.io/gc.expire"] = std::string(expire);
    }
    ASSERT_TRUE(images_.Create(caller_, image).ok());
  }
  void AddContainer(absl::string_view id, absl::string_view snapshot_key,
                    const std::map<std::string, std::string>& labels = {}) {
    metadata::ContainerStore::Container container;
    container.set_id(std::string(id));
    container.mutable_runtime()->set_name("r");
    container.mutable_spec();
    container.set_snapshotter("native");
    container.set_snapshot_key(std::string(snapshot_key));
    for (const auto& [key, value] : labels) (*container.mutable_labels())[key] = value;
    ASSERT_TRUE(containers_.Create(caller_, container).ok());
  }
  CollectionResult Collect() {
    const auto result = collector_.Collect(now_);
    EXPECT_TRUE(result.ok()) << result.status();
    return result.value_or(CollectionResult());
  }
  std::set<std::string> Blobs() { return NamesOf(content_); }
  std::set<std::string> Snapshots() { return NamesOf(snapshots_); }
  static std::set<std::string> NamesOf(const FakeStore& store) {
    std::set<std::string> names;
    for (const auto& [name, references] : store.objects_) names.insert(name);
    return names;
  }
  using Names = std::set<std::string>;

  const absl::Time now_ = absl::FromUnixSeconds(1800000000);  // 2027
  const std::string past_ = "2026-01-01T00:00:00Z";
  const std::string future_ = "2028-01-01T00:00:00+02:00";
  metadata::TestDatabase database_;
  const metadata::Caller caller_{"ns"};
  metadata::ContainerStore containers_{*database_};
  metadata::ImageStore images_{*database_};
  metadata::LeaseStore leases_{*database_};
  FakeStore content_{ObjectKind::kContent};
  FakeStore snapshots_{ObjectKind::kSnapshot};
  FakeStore ingests_{ObjectKind::kIngest};
  RecordingSink sink_;
  bool actor_ran_ = false;
  Collector collector_{
      *database_, {&containers_, &images_, &leases_, &content_, &snapshots_, &ingests_}, sink_};
};

TEST(LabelReferenceTest, EachKindIsReadAndOthersAreIgnored) {
  const auto content = ForwardReference("n", "containerd.io/gc.ref.content", "d");
  ASSERT_TRUE(content.has_value());
  EXPECT_EQ(*content, (ObjectId{ObjectKind::kContent, "n", "d"}));
  EXPECT_TRUE(ForwardReference("n", "containerd.io/gc.ref.content.l.0", "d").has_value());
  EXPECT_TRUE(ForwardReference("n", "containerd.io/gc.ref.content/x", "d").has_value());
  EXPECT_FALSE(ForwardReference("n", "containerd.io/gc.ref.contents", "d").has_value());
  EXPECT_FALSE(ForwardReference("n", "containerd.io/gc.ref.content", "").has_value());
  EXPECT_EQ(ForwardReference("n", "containerd.io/gc.ref.snapshot.overlayfs/2", "k/1")->name,
            "overlayfs/k/1");
  EXPECT_EQ(ForwardReference("n", "containerd.io/gc.ref.snapshot.a.b", "k")->name, "a.b/k");
  EXPECT_FALSE(ForwardReference("n", "containerd.io/gc.ref.snapshot.", "k").has_value());
  EXPECT_EQ(ForwardReference("n", "containerd.io/gc.ref.image.base", "i")->kind,
            ObjectKind::kImage);
  EXPECT_FALSE(ForwardReference("n", "containerd.io/gc.bref.content", "d").has_value());
  EXPECT_EQ(BackReference("n", "containerd.io/gc.bref.container", "c")->kind,
            ObjectKind::kContainer);
  EXPECT_EQ(BackReference("n", "containerd.io/gc.bref.snapshot.sn", "k")->name, "sn/k");
  EXPECT_FALSE(BackReference("n", "containerd.io/gc.root", "1").has_value());
}

TEST_F(CollectorTest, WhatNothingHoldsIsRemovedWithItsData) {
  AddContent("a");
  AddSnapshot("s");
  ingests_.objects_["old"] = {};
  ingests_.objects_["running"] = {Content("expected")};
  ingests_.rooted_.insert("running");
  AddContent("expected");
  EXPECT_EQ(Collect().removed, 3);
  EXPECT_EQ(Blobs(), Names{"expected"});
  EXPECT_EQ(NamesOf(ingests_), Names{"running"});
  EXPECT_EQ(content_.data_removed_, Names{"a"});
  EXPECT_EQ(snapshots_.data_removed_, Names{"native/s"});
  EXPECT_EQ(sink_.events_, std::vector<std::string>{"ns /snapshot/remove native s"});
  EXPECT_EQ(Collect().removed, 0);
}

TEST_F(CollectorTest, AnImageHoldsItsTargetAndWhatLabelsLeadTo) {
  for (const char c : {'1', '2', '3', '4', '5'}) AddContent(DigestOf(c));
  AddSnapshot("base");
  AddSnapshot("top", "base");
  AddImage("busybox", DigestOf('1'));
  Label(Content(DigestOf('1')), "ref.content.m.0", DigestOf('2'));
  Label(Content(DigestOf('2')), "ref.content.config", DigestOf('3'));
  Label(Content(DigestOf('2')), "ref.content.l.0", DigestOf('4'));
  Label(Content(DigestOf('3')), "ref.snapshot.native", "top");
  Collect();
  EXPECT_EQ(Blobs(), (Names{DigestOf('1'), DigestOf('2'), DigestOf('3'), DigestOf('4')}));
  EXPECT_EQ(Snapshots(), (Names{"native/base", "native/top"}));
  ASSERT_TRUE(images_.Delete(caller_, "busybox").ok());
  Collect();
  EXPECT_TRUE(Blobs().empty());
  EXPECT_TRUE(Snapshots().empty());
}

TEST_F(CollectorTest, ReferencesStayInTheirNamespace) {
  AddContent(DigestOf('1'));
  metadata::ImageStore::Image image;
  image.set_name("x");
  image.mutable_target()->set_digest(DigestOf('1'));
  image.mutable_target()->set_size(1);
  image.mutable_target()->set_media_type("m");
  ASSERT_TRUE(images_.Create({"other"}, image).ok());
  Collect();
  EXPECT_TRUE(Blobs().empty());
}

TEST_F(CollectorTest, AContainerHoldsItsSnapshotAndItsLabels) {
  AddSnapshot("layer");
  AddSnapshot("c", "layer");
  AddSnapshot("other");
  AddContent("blob");
  AddContainer("c", "c", {{"containerd.io/gc.ref.content.x", "blob"}});
  Collect();
  EXPECT_EQ(Snapshots(), (Names{"native/c", "native/layer"}));
  EXPECT_EQ(Blobs(), Names{"blob"});
  ASSERT_TRUE(containers_.Delete(caller_, "c").ok());
  Collect();
  EXPECT_TRUE(Snapshots().empty());
  EXPECT_TRUE(Blobs().empty());
}

TEST_F(CollectorTest, ARootLabelHolds) {
  AddContent("a");
  AddSnapshot("s");
  AddSnapshot("t", "s");
  Label(Content("a"), "root", "2020-01-01T00:00:00Z");
  Label(Snapshot("t"), "root", "x");
  EXPECT_EQ(Collect().removed, 0);
}

TEST_F(CollectorTest, ALeaseHoldsAndItsLabelsAreFollowed) {
  const std::string a = DigestOf('a');
  AddContent(a);
  AddContent("b");
  AddSnapshot("base");
  AddSnapshot("top", "base");
  ingests_.objects_["r"] = {};
  AddImage("expired", DigestOf('e'), past_);
  AddContent(DigestOf('e'));
  Label(Content(a), "ref.content", "b");
  AddLease("l", {},
           {{"content", a}, {"snapshots/native", "top"}, {"ingests", "r"}, {"images", "expired"}});
  EXPECT_EQ(Collect().removed, 0);
  ASSERT_TRUE(leases_.Delete(caller_, "l").ok());
  EXPECT_EQ(Collect().removed, 7);
  EXPECT_EQ(sink_.events_.front(), "ns /images/delete expired");
}

TEST_F(CollectorTest, AFlatLeaseHoldsParentsButFollowsNoLabels) {
  const std::string a = DigestOf('a');
  AddContent(a);
  AddContent("b");
  AddSnapshot("base");
  AddSnapshot("top", "base");
  Label(Content(a), "ref.content", "b");
  Label(Snapshot("top"), "ref.content", "b");
  AddLease("l", {{"flat", "1"}}, {{"content", a}, {"snapshots/native", "top"}});
  Collect();
  EXPECT_EQ(Blobs(), Names{a});
  EXPECT_EQ(Snapshots(), (Names{"native/base", "native/top"}));
}

TEST_F(CollectorTest, AFullHolderOutweighsAFlatOne) {
  const std::string a = DigestOf('a');
  AddContent(a);
  AddContent("b");
  Label(Content(a), "ref.content", "b");
  AddLease("flat", {{"flat", "1"}}, {{"content", a}});
  AddImage("i", a);
  EXPECT_EQ(Collect().removed, 0);
}

TEST_F(CollectorTest, AnExpiredLeaseHoldsNothingAndIsRemoved) {
  const std::string a = DigestOf('a');
  AddContent(a);
  AddLease("old", {{"expire", past_}}, {{"content", a}});
  AddLease("young", {{"expire", future_}}, {});
  AddLease("garbled", {{"expire", "tomorrow"}}, {});
  const CollectionResult result = Collect();
  EXPECT_EQ(result.removed, 2);
  EXPECT_TRUE(Blobs().empty());
  EXPECT_EQ(leases_.List(caller_, {})->size(), 2u);
  absl::Time expected;
  ASSERT_TRUE(absl::ParseTime(absl::RFC3339_full, future_, &expected, nullptr));
  EXPECT_EQ(result.next_expiry, expected);
}

TEST_F(CollectorTest, AnExpiredImageIsRemovedUnlessSomethingRefersToIt) {
  AddContent(DigestOf('1'));
  AddContent(DigestOf('2'));
  AddContent(DigestOf('3'));
  AddImage("gone", DigestOf('1'), past_);
  AddImage("kept", DigestOf('2'), past_);
  AddImage("young", DigestOf('3'), future_);
  AddContainer("c", "", {{"containerd.io/gc.ref.image.base", "kept"}});
  Collect();
  EXPECT_EQ(images_.List(caller_, {})->size(), 2u);
  EXPECT_EQ(Blobs(), (Names{DigestOf('2'), DigestOf('3')}));
  EXPECT_EQ(sink_.events_, std::vector<std::string>{"ns /images/delete gone"});
}

TEST_F(CollectorTest, ABackLabelIsHeldByTheOneItNames) {
  AddContent("signature");
  AddContent("orphan");
  AddContent(DigestOf('1'));
  AddSnapshot("extra");
  AddImage("i", DigestOf('1'));
  AddContainer("c", "");
  Label(Content("signature"), "bref.content.x", DigestOf('1'));
  Label(Content("orphan"), "bref.content", "nothing");
  Label(Snapshot("extra"), "bref.container", "c");
  Collect();
  EXPECT_EQ(Blobs(), (Names{"signature", DigestOf('1')}));
  EXPECT_EQ(Snapshots(), Names{"native/extra"});
}

TEST_F(CollectorTest, ACycleOfReferencesIsNoHolder) {
  AddContent("a");
  AddContent("b");
  Label(Content("a"), "ref.content", "b");
  Label(Content("b"), "ref.content", "a");
  EXPECT_EQ(Collect().removed, 2);
}

TEST_F(CollectorTest, ChildrenGoBeforeTheirParents) {
  // Names whose order alone would put parents first.
  for (int i = 0; i < 100; ++i) {
    AddSnapshot(absl::StrCat("s", 1000 + i), i == 0 ? "" : absl::StrCat("s", 1000 + i - 1));
  }
  EXPECT_EQ(Collect().removed, 100);
  ASSERT_EQ(snapshots_.order_.size(), 100u);
  EXPECT_EQ(snapshots_.order_.front(), "native/s1099");
  EXPECT_EQ(snapshots_.order_.back(), "native/s1000");
}

// However much there is to remove, other writers come in between a few dozen records, which take
// well below a millisecond.
TEST_F(CollectorTest, ALargeCollectionNeverHoldsTheWriterForLong) {
  constexpr int kBlobs = 100000;
  for (int i = 0; i < kBlobs; ++i) AddContent(absl::StrCat("blob", i));
  EXPECT_EQ(Collect().removed, kBlobs);
  EXPECT_GT(content_.largest_step_, 0u);
  EXPECT_LE(content_.largest_step_, 64u);
}

// A store whose object gains a holder after the mark: the first removal step is where the test
// acts.
class ActingStore final : public Collectable {
 public:
  explicit ActingStore(std::function<void()> act) : act_(std::move(act)) {}
  ObjectKind kind() const override { return ObjectKind::kIngest; }
  absl::Status ForEach(sqlite::Connection&, absl::Time,
                       absl::FunctionRef<void(ObjectId, Rooted)> visit) override {
    // Runs inside the mark's read transaction, whose view is fixed by a first read; the writes of
    // the other thread come after it.
    if (act_) act_();
    return absl::OkStatus();
  }
  absl::Status References(sqlite::Connection&, const ObjectId&,
                          absl::FunctionRef<void(ObjectId)>) override {
    return absl::OkStatus();
  }
  absl::StatusOr<std::vector<ObjectId>> RemoveRecords(sqlite::Connection&,
                                                      absl::Span<const ObjectId>) override {
    return std::vector<ObjectId>{};
  }
  absl::Status RemoveData(absl::Span<const ObjectId>) override { return absl::OkStatus(); }
  std::function<void()> act_;
};

TEST_F(CollectorTest, WhatGainsAHolderAfterTheMarkStays) {
  for (const char c : {'1', '2', '3', '4'}) AddContent(DigestOf(c));
  AddContent("by-label");
  AddSnapshot("base");
  AddSnapshot("used", "base");
  AddSnapshot("unused");
  AddLease("l", {}, {});
  Label(Content(DigestOf('1')), "ref.content", DigestOf('2'));
  // The references of Begin's snapshot are read afresh while the mark runs, so the act must come
  // when the roots have been listed: a container that exists keeps the act's store last.
  ActingStore actor([&] {
    actor_ran_ = true;
    AddImage("late", DigestOf('1'));
    AddContainer("late", "used");
    metadata::LeaseStore::Resource resource;
    resource.set_type("content");
    resource.set_id(DigestOf('3'));
    ASSERT_TRUE(leases_.AddResource(caller_, "l", resource).ok());
    Label(Content("by-label"), "root", "1");
  });
  Collector collector(*database_,
                      {&containers_, &images_, &leases_, &content_, &snapshots_, &actor}, sink_);
  const auto result = collector.Collect(now_);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_TRUE(actor_ran_);
  EXPECT_EQ(Blobs(), (Names{DigestOf('1'), DigestOf('2'), DigestOf('3'), "by-label"}));
  EXPECT_EQ(Snapshots(), (Names{"native/base", "native/used"}));
}

TEST_F(CollectorTest, ChangesAreReportedOnlyWhileACollectionRuns) {
  AddImage("i", DigestOf('1'));
  int64_t reported = -1;
  const auto count = [&] {
    EXPECT_TRUE(database_
                    ->Read([&](sqlite::Connection& connection) {
                      auto row = connection.Prepare("SELECT count(*) FROM gc_changed");
                      EXPECT_TRUE(*row->Step());
                      reported = row->ColumnInt64(0);
                      return absl::OkStatus();
                    })
                    .ok());
  };
  count();
  EXPECT_EQ(reported, 0);
  Collect();
  AddImage("j", DigestOf('1'));
  count();
  EXPECT_EQ(reported, 0);
}

TEST_F(CollectorTest, AFailingStoreDoesNotStopTheOthersAndLeavesNoMode) {
  AddContent("a");
  AddSnapshot("s");
  snapshots_.fail_ = true;
  const auto result = collector_.Collect(now_);
  EXPECT_EQ(result.status().code(), absl::StatusCode::kInternal);
  EXPECT_TRUE(Blobs().empty());
  EXPECT_EQ(content_.data_removed_, Names{"a"});
  EXPECT_EQ(Snapshots(), Names{"native/s"});
  snapshots_.fail_ = false;
  EXPECT_EQ(Collect().removed, 1);
}

}  // namespace
}  // namespace berth::gc
