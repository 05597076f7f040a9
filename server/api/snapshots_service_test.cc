// The Snapshots service over an in-process channel, with its events and a collection.
#include "server/api/snapshots_service.h"

#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/grpc/executor.h"
#include "base/os/mutex.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/gc/collector.h"
#include "server/metadata/container_store.h"
#include "server/metadata/lease_store.h"
#include "server/metadata/test_database.h"
#include "snapshotter/overlay/overlay_snapshotter.h"

namespace berth {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

namespace api = containerd::services::snapshots::v1;

constexpr char kOverlay[] = "overlayfs";

class RecordingSink final : public EventSink {
 public:
  void Publish(absl::string_view ns, absl::string_view topic,
               const google::protobuf::Message& event) override {
    MutexLock lock(&mutex_);
    lines_.push_back(absl::StrCat(ns, " ", topic, " ", event.ShortDebugString()));
  }
  std::vector<std::string> Take() {
    MutexLock lock(&mutex_);
    return std::exchange(lines_, {});
  }

 private:
  Mutex mutex_;
  std::vector<std::string> lines_;
};

class SnapshotsServiceTest : public testing::Test {
 protected:
  void SetUp() override {
    auto opened = snapshots::OpenOverlaySnapshotter(
        {.root = absl::StrCat(database_.directory(), "/overlayfs"), .mount_options = {}},
        *database_);
    ASSERT_TRUE(opened.ok()) << opened.status();
    overlay_ = *std::move(opened);
    store_ = std::make_unique<metadata::SnapshotStore>(
        *database_, std::vector<snapshots::Snapshotter*>{overlay_.get()});
    service_ = std::make_unique<SnapshotsService>(*store_, sink_, executor_);
    grpc::ServerBuilder builder;
    builder.RegisterService(service_.get());
    server_ = builder.BuildAndStart();
    stub_ = api::Snapshots::NewStub(server_->InProcessChannel({}));
  }
  void TearDown() override {
    server_->Shutdown(std::chrono::system_clock::now() + std::chrono::seconds(5));
    executor_.Stop();
  }

  template <typename Function>
  grpc::Status Call(Function function, const std::string& ns = "default",
                    const std::string& lease = "") {
    grpc::ClientContext context;
    if (!ns.empty()) context.AddMetadata("containerd-namespace", ns);
    if (!lease.empty()) context.AddMetadata("containerd-lease", lease);
    return function(&context);
  }
  grpc::Status Prepare(const std::string& key, const std::string& parent = "",
                       const std::string& lease = "") {
    SnapshotsService::PrepareRequest request;
    request.set_snapshotter(kOverlay);
    request.set_key(key);
    request.set_parent(parent);
    return Call([&](auto* context) { return stub_->Prepare(context, request, &prepared_); },
                "default", lease);
  }
  grpc::Status Commit(const std::string& name, const std::string& key,
                      const std::string& parent = "") {
    SnapshotsService::CommitRequest request;
    request.set_snapshotter(kOverlay);
    request.set_name(name);
    request.set_key(key);
    request.set_parent(parent);
    google::protobuf::Empty response;
    return Call([&](auto* context) { return stub_->Commit(context, request, &response); });
  }
  grpc::Status Remove(const std::string& key) {
    SnapshotsService::RemoveRequest request;
    request.set_snapshotter(kOverlay);
    request.set_key(key);
    google::protobuf::Empty response;
    return Call([&](auto* context) { return stub_->Remove(context, request, &response); });
  }
  std::vector<std::string> List(std::vector<std::string> filters, grpc::StatusCode code) {
    SnapshotsService::ListRequest request;
    request.set_snapshotter(kOverlay);
    for (const std::string& filter : filters) request.add_filters(filter);
    grpc::ClientContext context;
    context.AddMetadata("containerd-namespace", "default");
    const auto reader = stub_->List(&context, request);
    std::vector<std::string> names;
    SnapshotsService::ListResponse response;
    while (reader->Read(&response)) {
      for (const api::Info& info : response.info()) names.push_back(info.name());
    }
    EXPECT_EQ(reader->Finish().error_code(), code);
    return names;
  }

  metadata::TestDatabase database_;
  Executor executor_{2, 16};
  RecordingSink sink_;
  metadata::ContainerStore containers_{*database_};
  metadata::LeaseStore leases_{*database_};
  std::unique_ptr<snapshots::Snapshotter> overlay_;
  std::unique_ptr<metadata::SnapshotStore> store_;
  std::unique_ptr<SnapshotsService> service_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<api::Snapshots::Stub> stub_;
  SnapshotsService::PrepareResponse prepared_;
};

TEST_F(SnapshotsServiceTest, ALayerIsMadeAndUsed) {
  ASSERT_TRUE(Prepare("extract").ok());
  ASSERT_EQ(prepared_.mounts_size(), 1);
  EXPECT_EQ(prepared_.mounts(0).type(), "bind");
  EXPECT_THAT(prepared_.mounts(0).options(), ElementsAre("rw", "rbind"));
  ASSERT_TRUE(Commit("chain", "extract").ok());
  ASSERT_TRUE(Prepare("container", "chain").ok());
  EXPECT_EQ(prepared_.mounts(0).type(), "overlay");

  SnapshotsService::MountsRequest again;
  again.set_snapshotter(kOverlay);
  again.set_key("container");
  SnapshotsService::MountsResponse mounts;
  ASSERT_TRUE(Call([&](auto* c) { return stub_->Mounts(c, again, &mounts); }).ok());
  EXPECT_EQ(mounts.mounts(0).SerializeAsString(), prepared_.mounts(0).SerializeAsString());

  SnapshotsService::StatRequest stat;
  stat.set_snapshotter(kOverlay);
  stat.set_key("container");
  SnapshotsService::StatResponse info;
  ASSERT_TRUE(Call([&](auto* c) { return stub_->Stat(c, stat, &info); }).ok());
  EXPECT_EQ(info.info().parent(), "chain");
  EXPECT_EQ(info.info().kind(), api::ACTIVE);

  SnapshotsService::UsageRequest of;
  of.set_snapshotter(kOverlay);
  of.set_key("chain");
  SnapshotsService::UsageResponse usage;
  ASSERT_TRUE(Call([&](auto* c) { return stub_->Usage(c, of, &usage); }).ok());
  EXPECT_EQ(usage.inodes(), 1);
  EXPECT_GT(usage.size(), 0);

  ASSERT_TRUE(Remove("container").ok());
  EXPECT_THAT(sink_.Take(),
              ElementsAre(R"(default /snapshot/prepare key: "extract" snapshotter: "overlayfs")",
                          R"(default /snapshot/commit key: "extract" name: "chain" )"
                          R"(snapshotter: "overlayfs")",
                          R"(default /snapshot/prepare key: "container" parent: "chain" )"
                          R"(snapshotter: "overlayfs")",
                          R"(default /snapshot/remove key: "container" snapshotter: "overlayfs")"));
}

TEST_F(SnapshotsServiceTest, FailuresHaveTheirCodesAndNoEvents) {
  ASSERT_TRUE(Prepare("key").ok());
  ASSERT_TRUE(Commit("name", "key").ok());
  ASSERT_TRUE(Prepare("child", "name").ok());
  sink_.Take();
  EXPECT_EQ(Prepare("child").error_code(), grpc::StatusCode::ALREADY_EXISTS);
  EXPECT_EQ(Prepare("new", "nothing").error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(Prepare("new", "child").error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(Prepare("new", "", "no lease").error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(Commit("name", "child").error_code(), grpc::StatusCode::ALREADY_EXISTS);
  EXPECT_EQ(Commit("new", "name").error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(Remove("name").error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(Remove("nothing").error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_THAT(sink_.Take(), IsEmpty());

  SnapshotsService::StatRequest stat;
  stat.set_snapshotter(kOverlay);
  stat.set_key("name");
  SnapshotsService::StatResponse info;
  const grpc::Status nowhere = Call([&](auto* c) { return stub_->Stat(c, stat, &info); }, "");
  EXPECT_EQ(nowhere.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_THAT(nowhere.error_message(), HasSubstr("namespace is required"));
  stat.set_snapshotter("");
  EXPECT_EQ(Call([&](auto* c) { return stub_->Stat(c, stat, &info); }).error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(SnapshotsServiceTest, ListStreamsEverythingThatMatches) {
  ASSERT_TRUE(Prepare("base").ok());
  ASSERT_TRUE(Commit("chain", "base").ok());
  std::vector<std::string> expected = {"chain"};
  for (int i = 0; i < 210; ++i) {
    expected.push_back(absl::StrCat("key", 1000 + i));
    SnapshotsService::ViewRequest request;
    request.set_snapshotter(kOverlay);
    request.set_key(expected.back());
    request.set_parent("chain");
    SnapshotsService::ViewResponse response;
    ASSERT_TRUE(Call([&](auto* c) { return stub_->View(c, request, &response); }).ok());
  }
  EXPECT_EQ(List({}, grpc::StatusCode::OK), expected);
  EXPECT_THAT(List({"kind==committed"}, grpc::StatusCode::OK), ElementsAre("chain"));
  EXPECT_THAT(List({"name==nothing"}, grpc::StatusCode::OK), IsEmpty());
  EXPECT_THAT(List({"kind=="}, grpc::StatusCode::INVALID_ARGUMENT), IsEmpty());
}

TEST_F(SnapshotsServiceTest, LabelsAreUpdatedByMask) {
  ASSERT_TRUE(Prepare("key").ok());
  SnapshotsService::UpdateRequest request;
  request.set_snapshotter(kOverlay);
  request.mutable_info()->set_name("key");
  (*request.mutable_info()->mutable_labels())["a"] = "1";
  (*request.mutable_info()->mutable_labels())["b"] = "2";
  request.mutable_update_mask()->add_paths("labels.a");
  SnapshotsService::UpdateResponse response;
  ASSERT_TRUE(Call([&](auto* c) { return stub_->Update(c, request, &response); }).ok());
  EXPECT_EQ(response.info().labels().size(), 1u);
  request.mutable_update_mask()->add_paths("kind");
  EXPECT_EQ(Call([&](auto* c) { return stub_->Update(c, request, &response); }).error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(SnapshotsServiceTest, CollectionTakesWhatNobodyHoldsAndItsFiles) {
  const metadata::Caller caller{"default", ""};
  ASSERT_TRUE(leases_.Create(caller, "lease", {}).ok());
  ASSERT_TRUE(Prepare("a").ok());
  ASSERT_TRUE(Commit("loose base", "a").ok());
  ASSERT_TRUE(Prepare("loose", "loose base").ok());
  ASSERT_TRUE(Prepare("b").ok());
  ASSERT_TRUE(Commit("held base", "b").ok());
  ASSERT_TRUE(Prepare("held", "held base", "lease").ok());
  sink_.Take();

  gc::Collector collector(*database_, {&containers_, &leases_, store_.get()}, sink_);
  const auto collected = collector.Collect(absl::Now());
  ASSERT_TRUE(collected.ok()) << collected.status();
  EXPECT_THAT(List({}, grpc::StatusCode::OK), ElementsAre("held", "held base"));
  EXPECT_THAT(
      sink_.Take(),
      ElementsAre(R"(default /snapshot/remove key: "loose" snapshotter: "overlayfs")",
                  R"(default /snapshot/remove key: "loose base" snapshotter: "overlayfs")"));
  int below = 0;
  ASSERT_TRUE(overlay_
                  ->Walk([&](const snapshots::Info&) {
                    ++below;
                    return absl::OkStatus();
                  })
                  .ok());
  EXPECT_EQ(below, 2);

  SnapshotsService::CleanupRequest request;
  request.set_snapshotter(kOverlay);
  google::protobuf::Empty response;
  EXPECT_TRUE(Call([&](auto* c) { return stub_->Cleanup(c, request, &response); }, "").ok());
}

}  // namespace
}  // namespace berth
