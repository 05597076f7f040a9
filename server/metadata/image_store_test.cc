#include "server/metadata/image_store.h"

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "server/metadata/lease_store.h"
#include "server/metadata/record.h"
#include "server/metadata/test_database.h"

namespace berth::metadata {
namespace {

using Image = ImageStore::Image;

std::string DigestOf(char c) { return absl::StrCat("sha256:", std::string(64, c)); }

class ImageStoreTest : public testing::Test {
 protected:
  static Image Valid(absl::string_view name) {
    Image image;
    image.set_name(std::string(name));
    (*image.mutable_labels())["a"] = "1";
    auto& target = *image.mutable_target();
    target.set_media_type("application/vnd.oci.image.index.v1+json");
    target.set_digest(DigestOf('1'));
    target.set_size(10);
    (*target.mutable_annotations())["n"] = "1";
    return image;
  }
  std::vector<std::string> Names(std::vector<std::string> filters) {
    const auto list = store_.List(caller_, filters);
    EXPECT_TRUE(list.ok()) << list.status();
    std::vector<std::string> names;
    for (const Image& image : *list) names.push_back(image.name());
    return names;
  }

  TestDatabase database_;
  ImageStore store_{*database_};
  LeaseStore leases_{*database_};
  const Caller caller_{"default"};
};

TEST_F(ImageStoreTest, WhatWasCreatedIsThereAfterARestart) {
  Image image = Valid("busybox");
  (*image.mutable_labels())["empty"] = "";
  const auto created = store_.Create(caller_, image);
  ASSERT_TRUE(created.ok()) << created.status();
  EXPECT_EQ(created->labels_size(), 1);
  database_.Reopen();
  EXPECT_EQ(ImageStore(*database_).Get(caller_, "busybox")->SerializeAsString(),
            created->SerializeAsString());
  EXPECT_EQ(ImageStore(*database_).Get({"other"}, "busybox").status(),
            absl::NotFoundError("image \"busybox\": not found"));
}

TEST_F(ImageStoreTest, CreateChecksEachField) {
  const auto code = [&](const Image& i) { return store_.Create(caller_, i).status().code(); };
  constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
  EXPECT_EQ(code(Valid("")), kInvalid);
  Image image = Valid("x");
  image.mutable_target()->set_digest("sha256:short");
  EXPECT_EQ(code(image), kInvalid);
  image = Valid("x");
  image.mutable_target()->set_size(0);
  EXPECT_EQ(code(image), kInvalid);
  image = Valid("x");
  image.mutable_target()->clear_media_type();
  EXPECT_EQ(code(image), kInvalid);
  image = Valid("x");
  image.clear_target();
  EXPECT_EQ(code(image), kInvalid);
  image = Valid("x");
  (*image.mutable_labels())["k"] = std::string(4096, 'v');
  EXPECT_EQ(code(image), kInvalid);
  EXPECT_EQ(code(Valid("any name: even <this>")), absl::StatusCode::kOk);
  EXPECT_EQ(code(Valid("any name: even <this>")), absl::StatusCode::kAlreadyExists);
}

TEST_F(ImageStoreTest, ASourceDateStampsTheTimes) {
  const auto created = store_.Create(caller_, Valid("x"), absl::FromUnixSeconds(7));
  EXPECT_EQ(created->created_at().seconds(), 7);
  EXPECT_EQ(created->updated_at().seconds(), 7);
  const auto updated = store_.Update(caller_, Valid("x"), {}, absl::FromUnixSeconds(9));
  EXPECT_EQ(updated->created_at().seconds(), 7);
  EXPECT_EQ(updated->updated_at().seconds(), 9);
}

TEST_F(ImageStoreTest, AnEmptyMaskReplacesAllButTheCreationTime) {
  const auto created = store_.Create(caller_, Valid("x"));
  Image change = Valid("x");
  change.clear_labels();
  change.mutable_target()->set_digest(DigestOf('2'));
  change.mutable_created_at()->set_seconds(1);
  const auto updated = store_.Update(caller_, change, {});
  ASSERT_TRUE(updated.ok()) << updated.status();
  EXPECT_EQ(updated->labels_size(), 0);
  EXPECT_EQ(updated->target().digest(), DigestOf('2'));
  EXPECT_EQ(updated->created_at().seconds(), created->created_at().seconds());
}

TEST_F(ImageStoreTest, AMaskChangesOnlyWhatItNames) {
  Image original = Valid("x");
  (*original.mutable_labels())["b"] = "2";
  (*original.mutable_target()->mutable_annotations())["m"] = "2";
  ASSERT_TRUE(store_.Create(caller_, original).ok());
  Image change;
  change.set_name("x");
  (*change.mutable_labels())["a"] = "new";
  (*change.mutable_target()->mutable_annotations())["n"] = "new";
  const auto updated =
      store_.Update(caller_, change, {"labels.a", "labels.b", "annotations.n", "annotations.m"});
  ASSERT_TRUE(updated.ok()) << updated.status();
  EXPECT_EQ(updated->labels_size(), 1);
  EXPECT_EQ(updated->labels().at("a"), "new");
  EXPECT_EQ(updated->target().annotations_size(), 1);
  EXPECT_EQ(updated->target().annotations().at("n"), "new");
  EXPECT_EQ(updated->target().digest(), DigestOf('1'));
  for (const std::string path : {"name", "target.digest", "created_at"}) {
    EXPECT_EQ(store_.Update(caller_, change, {path}).status().code(),
              absl::StatusCode::kInvalidArgument);
  }
  // A target without a digest is refused and nothing changes.
  EXPECT_EQ(store_.Update(caller_, change, {"labels", "target"}).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(store_.Get(caller_, "x")->labels().at("a"), "new");
  EXPECT_EQ(store_.Update(caller_, Valid("y"), {}).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(store_.Update(caller_, Image(), {}).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST_F(ImageStoreTest, ListFiltersByEachField) {
  Image b = Valid("b");
  b.mutable_target()->set_digest(DigestOf('2'));
  b.mutable_target()->set_media_type("m");
  (*b.mutable_target()->mutable_annotations())["k"] = "v";
  ASSERT_TRUE(store_.Create(caller_, b).ok());
  ASSERT_TRUE(store_.Create(caller_, Valid("a")).ok());
  using V = std::vector<std::string>;
  EXPECT_EQ(Names({}), (V{"a", "b"}));
  EXPECT_EQ(Names({"name==b"}), V{"b"});
  EXPECT_EQ(Names({absl::StrCat("target.digest==", DigestOf('1'))}), V{"a"});
  EXPECT_EQ(Names({"target.mediatype==m"}), V{"b"});
  EXPECT_EQ(Names({"annotations.k==v"}), V{"b"});
  EXPECT_EQ(Names({"labels.a==1,name!=a"}), V{"b"});
}

TEST_F(ImageStoreTest, DeleteMayInsistOnATarget) {
  ASSERT_TRUE(store_.Create(caller_, Valid("x")).ok());
  EXPECT_EQ(store_.Delete(caller_, "x", DigestOf('9')).code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(store_.Delete(caller_, "x", DigestOf('1')).ok());
  EXPECT_EQ(store_.Delete(caller_, "x"), absl::NotFoundError("image \"x\": not found"));
}

TEST_F(ImageStoreTest, CreateJoinsTheCallersLease) {
  ASSERT_TRUE(leases_.Create(caller_, "l", {}).ok());
  ASSERT_TRUE(store_.Create({"default", "l"}, Valid("x")).ok());
  const auto resources = leases_.ListResources(caller_, "l");
  ASSERT_EQ(resources->size(), 1u);
  EXPECT_EQ(resources->front().type(), "images");
  EXPECT_EQ(resources->front().id(), "x");
  EXPECT_EQ(store_.Create({"default", "none"}, Valid("y")).status().code(),
            absl::StatusCode::kNotFound);
  EXPECT_EQ(store_.Get(caller_, "y").status().code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace berth::metadata
