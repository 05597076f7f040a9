#include "server/metadata/lease_store.h"

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "server/metadata/lease_table.h"
#include "server/metadata/test_database.h"

namespace berth::metadata {
namespace {

class LeaseStoreTest : public testing::Test {
 protected:
  static LeaseStore::Resource Resource(absl::string_view type, absl::string_view id) {
    LeaseStore::Resource resource;
    resource.set_type(std::string(type));
    resource.set_id(std::string(id));
    return resource;
  }
  std::vector<std::string> Held(absl::string_view lease) {
    const auto resources = store_.ListResources(caller_, lease);
    EXPECT_TRUE(resources.ok()) << resources.status();
    std::vector<std::string> held;
    for (const auto& r : *resources) held.push_back(absl::StrCat(r.type(), " ", r.id()));
    return held;
  }

  const std::string digest_ = absl::StrCat("sha256:", std::string(64, 'a'));
  TestDatabase database_;
  LeaseStore store_{*database_};
  const Caller caller_{"default"};
};

TEST_F(LeaseStoreTest, AnEmptyIdGetsAGeneratedOne) {
  const auto a = store_.Create(caller_, "", {});
  const auto b = store_.Create(caller_, "", {});
  ASSERT_TRUE(a.ok() && b.ok());
  EXPECT_NE(a->id(), b->id());
  EXPECT_FALSE(a->id().empty());
  EXPECT_GT(a->created_at().seconds(), 0);
}

TEST_F(LeaseStoreTest, ADuplicateIsAlreadyExistsAndAnUnknownOneNotFound) {
  ASSERT_TRUE(store_.Create(caller_, "free text / id", {}).ok());
  EXPECT_EQ(store_.Create(caller_, "free text / id", {}).status().code(),
            absl::StatusCode::kAlreadyExists);
  EXPECT_TRUE(store_.Create({"other"}, "free text / id", {}).ok());
  EXPECT_TRUE(store_.Delete(caller_, "free text / id").ok());
  EXPECT_EQ(store_.Delete(caller_, "free text / id"),
            absl::NotFoundError("lease \"free text / id\": not found"));
  EXPECT_EQ(store_.ListResources(caller_, "x").status().code(), absl::StatusCode::kNotFound);
}

TEST_F(LeaseStoreTest, ListFiltersByIdAndLabels) {
  Labels labels;
  labels["containerd.io/gc.expire"] = "2031-01-02T03:04:05Z";
  ASSERT_TRUE(store_.Create(caller_, "b", labels).ok());
  ASSERT_TRUE(store_.Create(caller_, "a", {}).ok());
  ASSERT_EQ(store_.List(caller_, {})->size(), 2u);
  EXPECT_EQ(store_.List(caller_, {})->front().id(), "a");
  EXPECT_EQ(store_.List(caller_, {"id==b"})->front().id(), "b");
  const auto expiring = store_.List(caller_, {"labels.\"containerd.io/gc.expire\""});
  ASSERT_EQ(expiring->size(), 1u);
  EXPECT_EQ(expiring->front().labels().at("containerd.io/gc.expire"), "2031-01-02T03:04:05Z");
  EXPECT_EQ(store_.List(caller_, {"=="}).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(LeaseStoreTest, ResourcesOfEachTypeAreHeldOnce) {
  ASSERT_TRUE(store_.Create(caller_, "l", {}).ok());
  for (int i = 0; i < 2; ++i) {
    EXPECT_TRUE(store_.AddResource(caller_, "l", Resource("content", digest_)).ok());
    EXPECT_TRUE(store_.AddResource(caller_, "l", Resource("ingests", "any ref")).ok());
    EXPECT_TRUE(store_.AddResource(caller_, "l", Resource("images", "busybox")).ok());
    EXPECT_TRUE(store_.AddResource(caller_, "l", Resource("snapshots/overlayfs", "k/1")).ok());
  }
  EXPECT_EQ(Held("l"), (std::vector<std::string>{"content " + digest_, "images busybox",
                                                 "ingests any ref", "snapshots/overlayfs k/1"}));
  EXPECT_TRUE(store_.DeleteResource(caller_, "l", Resource("images", "busybox")).ok());
  EXPECT_TRUE(store_.DeleteResource(caller_, "l", Resource("images", "busybox")).ok());
  EXPECT_EQ(Held("l").size(), 3u);
}

TEST_F(LeaseStoreTest, BadResourcesAreToldApart) {
  ASSERT_TRUE(store_.Create(caller_, "l", {}).ok());
  const auto code = [&](absl::string_view type, absl::string_view id) {
    const absl::StatusCode added = store_.AddResource(caller_, "l", Resource(type, id)).code();
    EXPECT_EQ(store_.DeleteResource(caller_, "l", Resource(type, id)).code(), added);
    return added;
  };
  constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
  EXPECT_EQ(code("content", "sha256:xyz"), kInvalid);
  EXPECT_EQ(code("content/x", digest_), kInvalid);
  EXPECT_EQ(code("ingests/x", "r"), kInvalid);
  EXPECT_EQ(code("images/x", "r"), kInvalid);
  EXPECT_EQ(code("snapshots", "k"), kInvalid);
  EXPECT_EQ(code("snapshots/", "k"), kInvalid);
  EXPECT_EQ(code("snapshots/a/b", "k"), kInvalid);
  EXPECT_EQ(code("images", ""), kInvalid);
  EXPECT_EQ(code("volumes", "v"), absl::StatusCode::kUnimplemented);
  EXPECT_EQ(code("", "v"), absl::StatusCode::kUnimplemented);
  EXPECT_EQ(store_.AddResource(caller_, "x", Resource("volumes", "v")).code(),
            absl::StatusCode::kNotFound);
}

TEST_F(LeaseStoreTest, OtherStoresAddWithinTheirOwnTransaction) {
  ASSERT_TRUE(store_.Create(caller_, "l", {}).ok());
  const auto write = [&](const Caller& caller, bool add) {
    return database_->Write(sqlite::WriteMode::kDurable, [&](sqlite::Connection& connection) {
      return add ? AddToLease(connection, caller, SnapshotResource("native"), "k")
                 : RemoveFromLease(connection, caller, SnapshotResource("native"), "k");
    });
  };
  EXPECT_TRUE(write({"default"}, true).ok());
  EXPECT_TRUE(Held("l").empty());
  EXPECT_EQ(write({"default", "unknown"}, true).code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(write({"other", "l"}, true).code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(write({"default", "l"}, true).ok());
  EXPECT_EQ(Held("l"), std::vector<std::string>{"snapshots/native k"});
  EXPECT_TRUE(write({"default", "l"}, false).ok());
  EXPECT_TRUE(Held("l").empty());
}

TEST_F(LeaseStoreTest, LabelsHaveALimit) {
  Labels labels;
  labels["k"] = std::string(4096, 'v');
  EXPECT_EQ(store_.Create(caller_, "l", labels).status().code(),
            absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace berth::metadata
