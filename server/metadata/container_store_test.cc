#include "server/metadata/container_store.h"

#include "gtest/gtest.h"
#include "server/metadata/test_database.h"

namespace berth::metadata {
namespace {

using Container = ContainerStore::Container;

class ContainerStoreTest : public testing::Test {
 protected:
  static Container Valid(absl::string_view id) {
    Container container;
    container.set_id(std::string(id));
    container.set_image("docker.io/library/busybox:latest");
    container.mutable_runtime()->set_name("io.containerd.runc.v2");
    container.mutable_spec()->set_type_url("types.containerd.io/spec");
    container.mutable_spec()->set_value("{}");
    container.set_snapshotter("overlayfs");
    container.set_snapshot_key(std::string(id));
    (*container.mutable_labels())["a"] = "1";
    (*container.mutable_extensions())["e"].set_value("E");
    return container;
  }
  absl::StatusCode UpdateCode(const Container& container, std::vector<std::string> mask) {
    return store_.Update(caller_, container, mask).status().code();
  }
  std::vector<std::string> Ids(std::vector<std::string> filters) {
    const auto list = store_.List(caller_, filters);
    EXPECT_TRUE(list.ok()) << list.status();
    std::vector<std::string> ids;
    for (const Container& container : *list) ids.push_back(container.id());
    return ids;
  }

  TestDatabase database_;
  ContainerStore store_{*database_};
  const Caller caller_{"default"};
};

TEST_F(ContainerStoreTest, CreateStampsTimesAndDropsEmptyLabels) {
  Container container = Valid("web");
  (*container.mutable_labels())["empty"] = "";
  const auto created = store_.Create(caller_, container);
  ASSERT_TRUE(created.ok()) << created.status();
  EXPECT_GT(created->created_at().seconds(), 0);
  EXPECT_EQ(created->created_at().nanos(), created->updated_at().nanos());
  EXPECT_EQ(created->labels_size(), 1);
  const auto got = store_.Get(caller_, "web");
  ASSERT_TRUE(got.ok());
  EXPECT_EQ(got->SerializeAsString(), created->SerializeAsString());
}

TEST_F(ContainerStoreTest, NamespacesDoNotSeeEachOther) {
  ASSERT_TRUE(store_.Create(caller_, Valid("web")).ok());
  EXPECT_EQ(store_.Get({"other"}, "web").status(),
            absl::NotFoundError("container \"web\" in namespace \"other\": not found"));
  EXPECT_TRUE(store_.List({"other"}, {})->empty());
  EXPECT_EQ(store_.Delete({"other"}, "web").code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(store_.Create({"other"}, Valid("web")).ok());
}

TEST_F(ContainerStoreTest, ADuplicateIsAlreadyExists) {
  ASSERT_TRUE(store_.Create(caller_, Valid("web")).ok());
  EXPECT_EQ(store_.Create(caller_, Valid("web")).status(),
            absl::AlreadyExistsError("container \"web\": already exists"));
}

TEST_F(ContainerStoreTest, CreateChecksEachField) {
  const auto code = [&](const Container& c) { return store_.Create(caller_, c).status().code(); };
  constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
  EXPECT_EQ(code(Valid("")), kInvalid);
  EXPECT_EQ(code(Valid("a/b")), kInvalid);
  Container container = Valid("c");
  container.mutable_runtime()->clear_name();
  EXPECT_EQ(code(container), kInvalid);
  container = Valid("c");
  container.clear_spec();
  EXPECT_EQ(code(container), kInvalid);
  container = Valid("c");
  container.clear_snapshotter();
  EXPECT_EQ(code(container), kInvalid);
  container.clear_snapshot_key();
  EXPECT_EQ(code(container), absl::StatusCode::kOk);
  container = Valid("d");
  (*container.mutable_extensions())[""].set_value("x");
  EXPECT_EQ(code(container), kInvalid);
  container = Valid("d");
  (*container.mutable_labels())["k"] = std::string(4096, 'v');
  EXPECT_EQ(code(container), kInvalid);
  EXPECT_EQ(store_.Create({"bad/ns"}, Valid("d")).status().code(), kInvalid);
}

TEST_F(ContainerStoreTest, AnEmptyMaskReplacesTheMutableSet) {
  const auto created = store_.Create(caller_, Valid("web"));
  Container change = Valid("web");
  change.set_image("other");
  change.set_snapshot_key("other-key");
  change.clear_labels();
  change.clear_extensions();
  change.mutable_spec()->set_value("{\"x\":1}");
  change.mutable_runtime()->mutable_options()->set_value("ignored");
  change.mutable_created_at()->set_seconds(1);
  change.set_sandbox("ignored");
  const auto updated = store_.Update(caller_, change, {});
  ASSERT_TRUE(updated.ok()) << updated.status();
  EXPECT_EQ(updated->image(), "other");
  EXPECT_EQ(updated->snapshot_key(), "other-key");
  EXPECT_EQ(updated->labels_size(), 0);
  EXPECT_EQ(updated->extensions_size(), 0);
  EXPECT_EQ(updated->spec().value(), "{\"x\":1}");
  EXPECT_FALSE(updated->runtime().has_options());
  EXPECT_EQ(updated->sandbox(), "");
  EXPECT_EQ(updated->created_at().seconds(), created->created_at().seconds());
  EXPECT_EQ(store_.Get(caller_, "web")->SerializeAsString(), updated->SerializeAsString());
}

TEST_F(ContainerStoreTest, AnEmptyMaskRefusesOtherSnapshotterOrRuntime) {
  ASSERT_TRUE(store_.Create(caller_, Valid("web")).ok());
  Container change = Valid("web");
  change.set_snapshotter("native");
  EXPECT_EQ(UpdateCode(change, {}), absl::StatusCode::kInvalidArgument);
  change = Valid("web");
  change.mutable_runtime()->set_name("kata");
  EXPECT_EQ(UpdateCode(change, {}), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(UpdateCode(change, {"image"}), absl::StatusCode::kOk);
}

TEST_F(ContainerStoreTest, AMaskChangesOnlyWhatItNames) {
  Container original = Valid("web");
  (*original.mutable_labels())["b"] = "2";
  (*original.mutable_extensions())["f"].set_value("F");
  ASSERT_TRUE(store_.Create(caller_, original).ok());
  Container change;
  change.set_id("web");
  (*change.mutable_labels())["a"] = "new";
  (*change.mutable_labels())["c"] = "not named";
  (*change.mutable_extensions())["e"].set_value("new");
  const auto updated = store_.Update(
      caller_, change, {"labels.a", "labels.b", "extensions.e", "extensions.f", "snapshotkey"});
  ASSERT_TRUE(updated.ok()) << updated.status();
  EXPECT_EQ(updated->labels_size(), 1);
  EXPECT_EQ(updated->labels().at("a"), "new");
  EXPECT_EQ(updated->extensions_size(), 1);
  EXPECT_EQ(updated->extensions().at("e").value(), "new");
  EXPECT_EQ(updated->snapshot_key(), "");
  EXPECT_EQ(updated->image(), original.image());
  EXPECT_EQ(UpdateCode(change, {"labels", "extensions", "image", "bogus"}),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(UpdateCode(change, {"runtime"}), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(UpdateCode(change, {"spec"}), absl::StatusCode::kInvalidArgument);  // would be missing
  EXPECT_EQ(store_.Get(caller_, "web")->image(), original.image());
}

TEST_F(ContainerStoreTest, UpdateOfWhatIsNotThere) {
  EXPECT_EQ(UpdateCode(Valid("web"), {}), absl::StatusCode::kNotFound);
  EXPECT_EQ(UpdateCode(Container(), {}), absl::StatusCode::kInvalidArgument);
}

TEST_F(ContainerStoreTest, ListFiltersByEachField) {
  Container b = Valid("b");
  b.set_image("alpine");
  (*b.mutable_labels())["io.x/tier"] = "front";
  b.mutable_runtime()->set_name("kata");
  ASSERT_TRUE(store_.Create(caller_, b).ok());
  ASSERT_TRUE(store_.Create(caller_, Valid("a")).ok());
  using V = std::vector<std::string>;
  EXPECT_EQ(Ids({}), (V{"a", "b"}));
  EXPECT_EQ(Ids({"id==b"}), V{"b"});
  EXPECT_EQ(Ids({"image~=busybox"}), V{"a"});
  EXPECT_EQ(Ids({"runtime.name==kata"}), V{"b"});
  EXPECT_EQ(Ids({"labels.\"io.x/tier\"==front"}), V{"b"});
  EXPECT_EQ(Ids({"labels.io"}), V{});
  EXPECT_EQ(Ids({"id==a", "id==b"}), (V{"a", "b"}));
  EXPECT_EQ(store_.List(caller_, {"id=="}).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(ContainerStoreTest, DeleteRemovesTheRecordAndItsGcLabels) {
  Container container = Valid("web");
  (*container.mutable_labels())["containerd.io/gc.ref.content.0"] = "sha256:x";
  ASSERT_TRUE(store_.Create(caller_, container).ok());
  ASSERT_TRUE(store_.Delete(caller_, "web").ok());
  EXPECT_EQ(store_.Delete(caller_, "web").code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(database_
                  ->Read([](sqlite::Connection& connection) {
                    auto row = connection.Prepare("SELECT count(*) FROM gc_labels");
                    EXPECT_TRUE(*row->Step());
                    EXPECT_EQ(row->ColumnInt64(0), 0);
                    return absl::OkStatus();
                  })
                  .ok());
}

}  // namespace
}  // namespace berth::metadata
