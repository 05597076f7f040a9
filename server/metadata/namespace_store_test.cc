#include "server/metadata/namespace_store.h"

#include "absl/strings/match.h"
#include "gtest/gtest.h"
#include "server/metadata/container_store.h"
#include "server/metadata/lease_store.h"
#include "server/metadata/test_database.h"

namespace berth::metadata {
namespace {

using Namespace = NamespaceStore::Namespace;

class NamespaceStoreTest : public testing::Test {
 protected:
  static Namespace Named(absl::string_view name, const std::map<std::string, std::string>& labels) {
    Namespace ns;
    ns.set_name(std::string(name));
    for (const auto& [key, value] : labels) (*ns.mutable_labels())[key] = value;
    return ns;
  }
  std::map<std::string, std::string> LabelsOf(absl::string_view name) {
    const auto ns = store_.Get(name);
    EXPECT_TRUE(ns.ok()) << ns.status();
    return {ns->labels().begin(), ns->labels().end()};
  }
  void CreateContainer(absl::string_view ns) {
    ContainerStore::Container container;
    container.set_id("c");
    container.mutable_runtime()->set_name("r");
    container.mutable_spec();
    ASSERT_TRUE(containers_.Create({std::string(ns)}, container).ok());
  }

  TestDatabase database_;
  NamespaceStore store_{*database_};
  ContainerStore containers_{*database_};
  LeaseStore leases_{*database_};
};

TEST_F(NamespaceStoreTest, AnUnknownNameHasNoLabelsAndIsNoError) {
  const auto ns = store_.Get("never-seen");
  ASSERT_TRUE(ns.ok());
  EXPECT_EQ(ns->name(), "never-seen");
  EXPECT_TRUE(ns->labels().empty());
  EXPECT_TRUE(store_.List("")->empty());
}

TEST_F(NamespaceStoreTest, CreateKeepsLabelsThatHaveAValue) {
  ASSERT_TRUE(store_.Create(Named("moby", {{"a", "1"}, {"b", ""}})).ok());
  EXPECT_EQ(LabelsOf("moby"), (std::map<std::string, std::string>{{"a", "1"}}));
  database_.Reopen();
  NamespaceStore again(*database_);
  EXPECT_EQ(again.Get("moby")->labels().at("a"), "1");
}

TEST_F(NamespaceStoreTest, CreateRefusesBadInputAndDuplicates) {
  EXPECT_EQ(store_.Create(Named("", {})).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(store_.Create(Named("../x", {})).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(store_.Create(Named("x", {{"k", std::string(4096, 'v')}})).status().code(),
            absl::StatusCode::kInvalidArgument);
  ASSERT_TRUE(store_.Create(Named("x", {})).ok());
  EXPECT_EQ(store_.Create(Named("x", {})).status(),
            absl::AlreadyExistsError("namespace \"x\": already exists"));
}

TEST_F(NamespaceStoreTest, UpdateReplacesAllLabelsOrThoseOfTheMask) {
  ASSERT_TRUE(store_.Create(Named("x", {{"a", "1"}, {"b", "2"}, {"c", "3"}})).ok());
  ASSERT_TRUE(store_.Update(Named("x", {{"a", "new"}}), {"labels.a", "labels.b"}).ok());
  EXPECT_EQ(LabelsOf("x"), (std::map<std::string, std::string>{{"a", "new"}, {"c", "3"}}));
  const auto updated = store_.Update(Named("x", {{"z", "9"}, {"empty", ""}}), {});
  ASSERT_TRUE(updated.ok());
  EXPECT_EQ(updated->labels_size(), 1);
  EXPECT_EQ(LabelsOf("x"), (std::map<std::string, std::string>{{"z", "9"}}));
  for (const std::string path : {"name", "labels", "label.a"}) {
    EXPECT_EQ(store_.Update(Named("x", {}), {path}).status().code(),
              absl::StatusCode::kInvalidArgument);
  }
}

TEST_F(NamespaceStoreTest, UpdateMakesAMissingNamespace) {
  ASSERT_TRUE(store_.Update(Named("fresh", {{"a", "1"}}), {"labels.a"}).ok());
  EXPECT_EQ(store_.List("")->size(), 1u);
}

TEST_F(NamespaceStoreTest, ListIsOrderedAndFiltered) {
  ASSERT_TRUE(store_.Create(Named("b", {{"team", "x"}})).ok());
  ASSERT_TRUE(store_.Create(Named("a", {})).ok());
  const auto all = store_.List("");
  ASSERT_EQ(all->size(), 2u);
  EXPECT_EQ((*all)[0].name(), "a");
  EXPECT_EQ(store_.List("labels.team==x")->front().name(), "b");
  EXPECT_EQ(store_.List("labels..x").status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(NamespaceStoreTest, ANamespaceWithObjectsIsKeptAndTheErrorNamesThem) {
  CreateContainer("busy");
  EXPECT_EQ(store_.List("")->front().name(), "busy");  // it appeared by itself
  const absl::Status status = store_.Delete("busy");
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(absl::StrContains(status.message(), "must be empty, but it still has containers"))
      << status;
  ASSERT_TRUE(containers_.Delete({"busy"}, "c").ok());
  EXPECT_TRUE(store_.Delete("busy").ok());
  EXPECT_EQ(store_.Delete("busy"), absl::NotFoundError("namespace \"busy\": not found"));
}

TEST_F(NamespaceStoreTest, LeasesGoWithTheirNamespace) {
  Labels labels;
  labels["containerd.io/gc.flat"] = "1";
  ASSERT_TRUE(leases_.Create({"x"}, "l", labels).ok());
  LeaseStore::Resource resource;
  resource.set_type("ingests");
  resource.set_id("ref");
  ASSERT_TRUE(leases_.AddResource({"x"}, "l", resource).ok());
  ASSERT_TRUE(store_.Delete("x").ok());
  ASSERT_TRUE(store_.Create(Named("x", {})).ok());
  EXPECT_TRUE(leases_.List({"x"}, {})->empty());
  EXPECT_TRUE(leases_.Create({"x"}, "l", {}).ok());
  EXPECT_TRUE(leases_.ListResources({"x"}, "l")->empty());
}

}  // namespace
}  // namespace berth::metadata
