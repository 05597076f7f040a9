// Content over an in-process channel: the rules of streams, which the store does not know.
#include "server/api/content_service.h"

#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/digest/hasher.h"
#include "base/grpc/executor.h"
#include "gtest/gtest.h"
#include "server/metadata/test_database.h"

namespace berth {
namespace {

using containerd::services::content::v1::Content;
using containerd::services::content::v1::WriteAction;
using WriteRequest = ContentService::WriteRequest;
using WriteResponse = ContentService::WriteResponse;

class ContentServiceTest : public testing::Test {
 protected:
  ContentServiceTest()
      : store_(*content::ContentStore::Open(database_.directory() + "/content", *database_, nullptr,
                                            nullptr, {})),
        service_(*store_, executor_) {
    grpc::ServerBuilder builder;
    builder.RegisterService(&service_);
    server_ = builder.BuildAndStart();
    stub_ = Content::NewStub(server_->InProcessChannel({}));
  }
  ~ContentServiceTest() override {
    server_->Shutdown();
    executor_.Stop();
  }

  struct Stream {
    grpc::ClientContext context;
    std::unique_ptr<grpc::ClientReaderWriter<WriteRequest, WriteResponse>> calls;

    // The answer; an empty ref in it is a sign that the stream has ended.
    std::pair<bool, WriteResponse> Send(const WriteRequest& request) {
      WriteResponse response;
      calls->Write(request);
      const bool ok = calls->Read(&response);
      return {ok, response};
    }
    grpc::Status End() {
      calls->WritesDone();
      WriteResponse rest;
      while (calls->Read(&rest)) {
      }
      return calls->Finish();
    }
  };
  std::unique_ptr<Stream> OpenStream(absl::string_view ns = "default") {
    auto stream = std::make_unique<Stream>();
    if (!ns.empty()) stream->context.AddMetadata("containerd-namespace", std::string(ns));
    stream->calls = stub_->Write(&stream->context);
    return stream;
  }
  static WriteRequest Request(WriteAction action, absl::string_view ref, int64_t offset = 0,
                              absl::string_view data = "", int64_t total = 0,
                              absl::string_view expected = "") {
    WriteRequest request;
    request.set_action(action);
    request.set_ref(std::string(ref));
    request.set_offset(offset);
    request.set_data(std::string(data));
    request.set_total(total);
    request.set_expected(std::string(expected));
    return request;
  }
  grpc::Status Put(absl::string_view data) {
    auto stream = OpenStream();
    stream->Send(Request(WriteAction::COMMIT, "put", 0, data));
    return stream->End();
  }
  // The data and the number of messages, or the error.
  struct Result {
    grpc::Status status;
    std::string data;
    int messages = 0;
  };
  Result Read(absl::string_view digest, int64_t offset = 0, int64_t size = 0) {
    grpc::ClientContext context;
    context.AddMetadata("containerd-namespace", "default");
    ContentService::ReadRequest request;
    request.set_digest(std::string(digest));
    request.set_offset(offset);
    request.set_size(size);
    auto reader = stub_->Read(&context, request);
    Result result;
    ContentService::ReadResponse response;
    while (reader->Read(&response)) {
      result.data += response.data();
      ++result.messages;
    }
    result.status = reader->Finish();
    return result;
  }

  metadata::TestDatabase database_;
  Executor executor_{2, 100};
  std::unique_ptr<content::ContentStore> store_;
  ContentService service_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<Content::Stub> stub_;
};

TEST_F(ContentServiceTest, EveryRequestOfAWriteIsAnswered) {
  const std::string digest = HashString("hello world").text();
  auto stream = OpenStream();
  auto [ok, response] = stream->Send(Request(WriteAction::STAT, "r", 0, "", 11, digest));
  ASSERT_TRUE(ok);
  EXPECT_EQ(response.action(), WriteAction::STAT);
  EXPECT_EQ(response.offset(), 0);
  EXPECT_EQ(response.total(), 11);
  EXPECT_EQ(response.digest(), HashString("").text());
  EXPECT_GT(response.started_at().seconds(), 0);
  std::tie(ok, response) = stream->Send(Request(WriteAction::WRITE, "", 0, "hello "));
  EXPECT_EQ(response.offset(), 6);
  std::tie(ok, response) = stream->Send(Request(WriteAction::WRITE, "", 6, "world"));
  EXPECT_EQ(response.offset(), 11);
  std::tie(ok, response) = stream->Send(Request(WriteAction::COMMIT, "", 11));
  EXPECT_EQ(response.action(), WriteAction::COMMIT);
  EXPECT_EQ(response.digest(), digest);
  EXPECT_EQ(response.offset(), 11);
  EXPECT_TRUE(stream->End().ok());
  EXPECT_EQ(Read(digest).data, "hello world");
}

TEST_F(ContentServiceTest, TheFirstRequestMustNameTheRefAndTheNamespace) {
  auto stream = OpenStream();
  EXPECT_FALSE(stream->Send(Request(WriteAction::STAT, "")).first);
  EXPECT_EQ(stream->End().error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  stream = OpenStream("");
  EXPECT_FALSE(stream->Send(Request(WriteAction::STAT, "r")).first);
  EXPECT_EQ(stream->End().error_code(), grpc::StatusCode::FAILED_PRECONDITION);
}

TEST_F(ContentServiceTest, ASecondStreamOfARefWaitsForTheFirst) {
  auto first = OpenStream();
  first->Send(Request(WriteAction::WRITE, "r", 0, "abc"));
  auto second = OpenStream();
  second->Send(Request(WriteAction::STAT, "r"));
  const grpc::Status locked = second->End();
  EXPECT_EQ(locked.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_TRUE(absl::StrContains(locked.error_message(), "locked"));
  EXPECT_TRUE(first->End().ok());
  // The end of the first frees the ref, and its bytes are where the next goes on.
  auto third = OpenStream();
  EXPECT_EQ(third->Send(Request(WriteAction::STAT, "r")).second.offset(), 3);
  EXPECT_EQ(third->Send(Request(WriteAction::COMMIT, "", 3, "def")).second.digest(),
            HashString("abcdef").text());
  EXPECT_TRUE(third->End().ok());
}

TEST_F(ContentServiceTest, OffsetsMustMatchAndZeroBeginsAnew) {
  auto stream = OpenStream();
  stream->Send(Request(WriteAction::WRITE, "r", 0, "abc"));
  EXPECT_FALSE(stream->Send(Request(WriteAction::WRITE, "", 2, "x")).first);
  EXPECT_EQ(stream->End().error_code(), grpc::StatusCode::OUT_OF_RANGE);
  stream = OpenStream();
  EXPECT_EQ(stream->Send(Request(WriteAction::WRITE, "r", 0, "new")).second.offset(), 3);
  EXPECT_EQ(stream->Send(Request(WriteAction::COMMIT, "", 0)).second.digest(),
            HashString("").text());
  EXPECT_TRUE(stream->End().ok());
}

TEST_F(ContentServiceTest, ACommitChecksSizeAndDigest) {
  auto stream = OpenStream();
  EXPECT_FALSE(stream->Send(Request(WriteAction::COMMIT, "r", 0, "abc", 4)).first);
  EXPECT_EQ(stream->End().error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  stream = OpenStream();
  stream->Send(Request(WriteAction::COMMIT, "r", 3, "", 3, HashString("other").text()));
  EXPECT_EQ(stream->End().error_code(), grpc::StatusCode::FAILED_PRECONDITION);
}

TEST_F(ContentServiceTest, AKnownDigestInsideTheStreamGivesTheUploadUp) {
  ASSERT_TRUE(Put("known").ok());
  auto stream = OpenStream();
  stream->Send(Request(WriteAction::WRITE, "r", 0, "kno"));
  stream->Send(Request(WriteAction::WRITE, "", 3, "wn", 0, HashString("known").text()));
  EXPECT_EQ(stream->End().error_code(), grpc::StatusCode::ALREADY_EXISTS);
  EXPECT_TRUE(absl::IsNotFound(store_->GetStatus({"default"}, "r").status()));
  // At the first request an older upload of the ref stays.
  stream = OpenStream();
  stream->Send(Request(WriteAction::WRITE, "older", 0, "x"));
  EXPECT_TRUE(stream->End().ok());
  stream = OpenStream();
  stream->Send(Request(WriteAction::STAT, "older", 0, "", 0, HashString("known").text()));
  EXPECT_EQ(stream->End().error_code(), grpc::StatusCode::ALREADY_EXISTS);
  EXPECT_EQ(store_->GetStatus({"default"}, "older")->offset(), 1);
}

TEST_F(ContentServiceTest, ReadsFollowTheRulesOfOffsetAndSize) {
  const std::string data(2500000, 'd');
  ASSERT_TRUE(Put(data).ok());
  const std::string digest = HashString(data).text();
  const Result whole = Read(digest);
  EXPECT_TRUE(whole.status.ok());
  EXPECT_TRUE(whole.data == data);
  EXPECT_EQ(whole.messages, 3);
  EXPECT_EQ(Read(digest, 10, 5).data.size(), 5u);
  EXPECT_EQ(Read(digest, -10, 5).data.size(), 5u);
  EXPECT_EQ(Read(digest, 2499999, 5).data.size(), 1u);
  EXPECT_EQ(Read(digest, 2499990, -1).data.size(), 10u);
  EXPECT_EQ(Read(digest, 2500000).data.size(), 0u);
  EXPECT_EQ(Read(digest, 2500001).status.error_code(), grpc::StatusCode::OUT_OF_RANGE);
  EXPECT_EQ(Read(HashString("missing").text()).status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(Read("sha256:x").status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(ContentServiceTest, ListsComeInSeveralMessages) {
  for (int i = 0; i < 205; ++i) ASSERT_TRUE(Put(absl::StrCat("blob ", i)).ok());
  grpc::ClientContext context;
  context.AddMetadata("containerd-namespace", "default");
  auto reader = stub_->List(&context, {});
  ContentService::ListResponse response;
  int messages = 0;
  int infos = 0;
  while (reader->Read(&response)) {
    ++messages;
    infos += response.info_size();
  }
  EXPECT_TRUE(reader->Finish().ok());
  EXPECT_EQ(messages, 3);
  EXPECT_EQ(infos, 205);
}

TEST_F(ContentServiceTest, AClientThatGoesAwayFreesTheRefAndKeepsTheBytes) {
  auto stream = OpenStream();
  stream->Send(Request(WriteAction::WRITE, "r", 0, "abc"));
  stream->context.TryCancel();
  stream->End();
  for (int i = 0; i < 1000 && store_->IsLocked("default", "r"); ++i)
    absl::SleepFor(absl::Milliseconds(5));  // tidy: allow(sleep) polls, bounded
  EXPECT_FALSE(store_->IsLocked("default", "r"));
  EXPECT_EQ(store_->GetStatus({"default"}, "r")->offset(), 3);
}

}  // namespace
}  // namespace berth
