// Diff over an in-process channel, with the real worker. Needs root.
#include "server/api/diff_service.h"

#include <fcntl.h>
#include <grpcpp/grpcpp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/digest/hasher.h"
#include "base/grpc/executor.h"
#include "gtest/gtest.h"
#include "server/content/ingest_writer.h"
#include "server/metadata/test_database.h"
#include "server/task/loop_thread.h"
#include "snapshotter/layer/layer_test_support.h"

namespace berth {
namespace {

using layer::File;
using layer::MakeTar;
using layer::Shell;
using layer::TestDirectory;

constexpr char kGzip[] = "application/vnd.oci.image.layer.v1.tar+gzip";
constexpr char kPlain[] = "application/vnd.oci.image.layer.v1.tar";
constexpr char kUncompressed[] = "containerd.io/uncompressed";

class DiffServiceTest : public testing::Test {
 protected:
  DiffServiceTest()
      : store_(*content::ContentStore::Open(database_.directory() + "/content", *database_, nullptr,
                                            nullptr, {})),
        worker_(loop_->loop(), executor_,
                {std::filesystem::absolute("server/worker/berth-worker"),
                 database_.directory() + "/content"}),
        service_(*store_, worker_, executor_) {
    loop_->Start();
    grpc::ServerBuilder builder;
    builder.RegisterService(&service_);
    server_ = builder.BuildAndStart();
    stub_ = containerd::services::diff::v1::Diff::NewStub(server_->InProcessChannel({}));
    Shell(absl::StrCat("mkdir ", tree_ / "lower", " ", tree_ / "upper"));
  }
  ~DiffServiceTest() override {
    server_->Shutdown();
    worker_.Stop();
    executor_.Stop();
    loop_->Stop();
  }

  std::string Put(absl::string_view bytes) {
    auto writer = store_->OpenWriter(caller_, {"put", 0, ""});
    EXPECT_TRUE((*writer)->Write(bytes).ok());
    EXPECT_TRUE((*writer)->Commit(0, "", {}).ok());
    return HashString(bytes).text();
  }
  grpc::Status Apply(const std::string& digest, const std::string& media_type,
                     DiffService::ApplyResponse* response, const char* ns = "default") {
    grpc::ClientContext context;
    if (ns[0] != '\0') context.AddMetadata("containerd-namespace", ns);
    DiffService::ApplyRequest request;
    request.mutable_diff()->set_digest(digest);
    request.mutable_diff()->set_media_type(media_type);
    *request.add_mounts() = Overlay();
    return stub_->Apply(&context, request, response);
  }
  containerd::types::Mount Overlay() {
    containerd::types::Mount mount;
    mount.set_type("overlay");
    mount.add_options("lowerdir=" + (tree_ / "lower"));
    mount.add_options("upperdir=" + (tree_ / "upper"));
    return mount;
  }
  DiffService::DiffRequest DiffOf(const char* media_type) {
    DiffService::DiffRequest request;
    containerd::types::Mount& left = *request.add_left();
    left.set_type("bind");
    left.set_source(tree_ / "lower");
    *request.add_right() = Overlay();
    request.set_media_type(media_type);
    return request;
  }
  grpc::Status Diff(const DiffService::DiffRequest& request, DiffService::DiffResponse* response) {
    grpc::ClientContext context;
    context.AddMetadata("containerd-namespace", "default");
    return stub_->Diff(&context, request, response);
  }

  metadata::TestDatabase database_;
  TestDirectory tree_;
  std::unique_ptr<LoopThread> loop_ = *LoopThread::Create();
  Executor executor_{2, 100};
  std::unique_ptr<content::ContentStore> store_;
  worker::WorkerClient worker_;
  DiffService service_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<containerd::services::diff::v1::Diff::Stub> stub_;
  const metadata::Caller caller_{"default"};
};

TEST_F(DiffServiceTest, ApplyAnswersWithTheUncompressedLayer) {
  const std::string tar = MakeTar({File("a")});
  DiffService::ApplyResponse response;
  const grpc::Status status =
      Apply(Put(layer::Compress(layer::Compression::kGzip, tar)), kGzip, &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(response.applied().media_type(), kPlain);
  EXPECT_EQ(response.applied().digest(), HashString(tar).text());
  EXPECT_EQ(response.applied().size(), static_cast<int64_t>(tar.size()));
  EXPECT_TRUE(layer::Exists(tree_ / "upper/a"));
}

TEST_F(DiffServiceTest, ApplyServesOnlyWhatTheNamespaceSees) {
  const std::string digest = Put(MakeTar({File("a")}));
  DiffService::ApplyResponse response;
  EXPECT_EQ(Apply(digest, kPlain, &response, "other").error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(Apply(digest, kPlain, &response, "").error_code(),
            grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(Apply("sha256:x", kPlain, &response).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(Apply(digest, "application/json", &response).error_code(),
            grpc::StatusCode::UNIMPLEMENTED);
  EXPECT_FALSE(layer::Exists(tree_ / "upper/a"));
}

TEST_F(DiffServiceTest, ADamagedLayerIsTakenOutOfUse) {
  const std::string digest = Put(MakeTar({File("a")}));
  const std::string path =
      absl::StrCat(store_->files().directory(), "/blobs/sha256/", digest.substr(7));
  Shell(absl::StrCat("chmod 644 ", path, " && printf X | dd of=", path,
                     " bs=1 seek=600 conv=notrunc status=none"));
  DiffService::ApplyResponse response;
  const grpc::Status status = Apply(digest, kPlain, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::DATA_LOSS);
  EXPECT_TRUE(absl::StrContains(status.error_message(), "quarantine")) << status.error_message();
  EXPECT_TRUE(absl::IsNotFound(store_->GetInfo(caller_, digest).status()));
  Put(MakeTar({File("a")}));
  EXPECT_TRUE(Apply(digest, kPlain, &response).ok());
}

TEST_F(DiffServiceTest, AHostileLayerLeavesTheBlobWhereItIs) {
  const std::string digest = Put(MakeTar({File("../escape")}));
  DiffService::ApplyResponse response;
  const grpc::Status status = Apply(digest, kPlain, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_TRUE(absl::StrContains(status.error_message(), "../escape"));
  EXPECT_TRUE(store_->GetInfo(caller_, digest).ok());
}

TEST_F(DiffServiceTest, DiffCommitsTheLayerWithItsLabels) {
  Shell(absl::StrCat("echo hi > ", tree_ / "upper/new"));
  DiffService::DiffRequest request = DiffOf("");
  (*request.mutable_labels())["mine"] = "1";
  DiffService::DiffResponse response;
  const grpc::Status status = Diff(request, &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(response.diff().media_type(), kGzip);
  const auto info = store_->GetInfo(caller_, response.diff().digest());
  ASSERT_TRUE(info.ok()) << info.status();
  EXPECT_EQ(info->size(), response.diff().size());
  EXPECT_EQ(info->labels().at("mine"), "1");
  const auto blob = store_->OpenBlob(caller_, response.diff().digest());
  std::string bytes(blob->size, '\0');
  ASSERT_EQ(::pread(blob->fd.get(), bytes.data(), bytes.size(), 0),
            static_cast<ssize_t>(bytes.size()));
  EXPECT_EQ(HashString(layer::Decompress(bytes)).text(), info->labels().at(kUncompressed));
  EXPECT_EQ(store_->ListStatuses(caller_, {})->size(), 0u);
  // The same layer again is the same blob.
  DiffService::DiffResponse again;
  EXPECT_TRUE(Diff(request, &again).ok());
  EXPECT_EQ(again.diff().digest(), response.diff().digest());
  EXPECT_EQ(store_->ListStatuses(caller_, {})->size(), 0u);
}

TEST_F(DiffServiceTest, APlainLayerHasNoUncompressedLabel) {
  Shell(absl::StrCat("echo hi > ", tree_ / "upper/new"));
  DiffService::DiffResponse response;
  ASSERT_TRUE(Diff(DiffOf(kPlain), &response).ok());
  EXPECT_EQ(store_->GetInfo(caller_, response.diff().digest())->labels_size(), 0);
}

TEST_F(DiffServiceTest, AFailedDiffLeavesNoUploadBehind) {
  DiffService::DiffResponse response;
  EXPECT_EQ(Diff(DiffOf("application/json"), &response).error_code(),
            grpc::StatusCode::UNIMPLEMENTED);
  EXPECT_EQ(store_->ListStatuses(caller_, {})->size(), 0u);
  EXPECT_EQ(store_->files().ListIngests()->size(), 0u);
  // One that the caller named stays, for the caller to abort.
  DiffService::DiffRequest named = DiffOf("application/json");
  named.set_ref("mine");
  EXPECT_FALSE(Diff(named, &response).ok());
  EXPECT_TRUE(store_->GetStatus(caller_, "mine").ok());
  EXPECT_FALSE(store_->IsLocked("default", "mine"));
}

}  // namespace
}  // namespace berth
