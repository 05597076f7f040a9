// The helpers of this folder against a real gRPC client over an in-process channel.
#include <grpcpp/grpcpp.h>

#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/grpc/bidi.h"
#include "base/grpc/server_stream.h"
#include "base/grpc/unary.h"
#include "base/os/mutex.h"
#include "gtest/gtest.h"
#include "proto/containerd/services/content/v1/content.grpc.pb.h"

namespace berth {
namespace {

using containerd::services::content::v1::AbortRequest;
using containerd::services::content::v1::Content;
using containerd::services::content::v1::InfoRequest;
using containerd::services::content::v1::InfoResponse;
using containerd::services::content::v1::ListContentRequest;
using containerd::services::content::v1::ListContentResponse;
using containerd::services::content::v1::ReadContentRequest;
using containerd::services::content::v1::ReadContentResponse;
using containerd::services::content::v1::StatusRequest;
using containerd::services::content::v1::StatusResponse;
using containerd::services::content::v1::WriteContentRequest;
using containerd::services::content::v1::WriteContentResponse;
using google::protobuf::Empty;

class CountingSession : public BidiSession<WriteContentRequest, WriteContentResponse> {
 public:
  explicit CountingSession(std::atomic<int>& open_sessions) : open_sessions_(open_sessions) {
    ++open_sessions_;
  }
  ~CountingSession() override { --open_sessions_; }
  absl::StatusOr<BidiNext> Handle(const WriteContentRequest& request,
                                  WriteContentResponse& response) override {
    if (request.ref() == "fail") return absl::OutOfRangeError("offset 5 is not 0");
    bytes_ += static_cast<int64_t>(request.data().size());
    response.set_offset(bytes_);
    return request.ref() == "last" ? BidiNext::kFinish : BidiNext::kRead;
  }

 private:
  std::atomic<int>& open_sessions_;
  int64_t bytes_ = 0;
};

// One method per helper and per kind of misfortune.
class FakeService final : public Content::CallbackService {
 public:
  explicit FakeService(Executor& executor) : executor_(executor) {}

  // Unary; the digest chooses what happens.
  grpc::ServerUnaryReactor* Info(grpc::CallbackServerContext* c, const InfoRequest* q,
                                 InfoResponse* r) override {
    return Unary(c, executor_, q, r,
                 [](const CallInfo& call, const InfoRequest& q) -> absl::StatusOr<InfoResponse> {
                   if (q.digest() == "throw") throw std::runtime_error("boom");
                   if (q.digest() == "long") return absl::NotFoundError(std::string(100000, 'x'));
                   absl::Status status = call.RequireNamespace();
                   if (!status.ok()) return status;
                   InfoResponse response;
                   response.mutable_info()->set_digest(absl::StrCat(call.ns, " ", call.lease));
                   return response;
                 });
  }
  // UnaryAsync; holds the answer, or drops it for the ref "drop".
  grpc::ServerUnaryReactor* Status(grpc::CallbackServerContext* c, const StatusRequest* q,
                                   StatusResponse* r) override {
    return UnaryAsync(
        c, q, r, [this](const CallInfo& call, const StatusRequest& q, Done<StatusResponse> done) {
          if (q.ref() == "drop") return;
          call.OnCancel([this] { cancelled_.Notify(); });
          held_.emplace(std::move(done));
          holding_.Notify();
        });
  }
  grpc::ServerWriteReactor<ReadContentResponse>* Read(grpc::CallbackServerContext* c,
                                                      const ReadContentRequest* q) override {
    const auto open =
        [](const CallInfo&,
           const ReadContentRequest& q) -> absl::StatusOr<StreamSource<ReadContentResponse>> {
      if (q.size() < 0) return absl::OutOfRangeError("negative");
      return [n = q.size()](ReadContentResponse& response) mutable -> absl::StatusOr<bool> {
        if (n-- == 0) return false;
        response.set_offset(n);
        return true;
      };
    };
    return PullStream<ReadContentResponse>(c, executor_, q, open);
  }
  grpc::ServerWriteReactor<ListContentResponse>* List(grpc::CallbackServerContext* c,
                                                      const ListContentRequest* q) override {
    return PushStream<ListContentResponse>(c, q, 4,
                                           [this](const CallInfo& call, const ListContentRequest&,
                                                  StreamSink<ListContentResponse> sink) {
                                             call.OnCancel([this] { cancelled_.Notify(); });
                                             sink_.emplace(std::move(sink));
                                             holding_.Notify();
                                             return absl::OkStatus();
                                           });
  }
  grpc::ServerBidiReactor<WriteContentRequest, WriteContentResponse>* Write(
      grpc::CallbackServerContext* c) override {
    return Bidi<WriteContentRequest, WriteContentResponse>(c, executor_, [this](const CallInfo&) {
      return std::make_unique<CountingSession>(open_sessions_);
    });
  }
  grpc::ServerUnaryReactor* Abort(grpc::CallbackServerContext* c, const AbortRequest* q,
                                  Empty* r) override {
    return Unary(c, executor_, q, r, [](const CallInfo&, const AbortRequest& q) {
      return q.ref().empty() ? absl::InvalidArgumentError("no ref") : absl::OkStatus();
    });
  }

  Executor& executor_;
  Notification holding_, cancelled_;
  std::optional<Done<StatusResponse>> held_;
  std::optional<StreamSink<ListContentResponse>> sink_;
  std::atomic<int> open_sessions_{0};
};

class GrpcTest : public testing::Test {
 protected:
  GrpcTest() : executor_(2, 2), service_(executor_) {
    grpc::ServerBuilder builder;
    builder.RegisterService(&service_);
    server_ = builder.BuildAndStart();
    stub_ = Content::NewStub(server_->InProcessChannel({}));
  }
  ~GrpcTest() override {
    server_->Shutdown(std::chrono::system_clock::now() + std::chrono::seconds(5));
    executor_.Stop();
  }
  static void SetDeadline(grpc::ClientContext& context, absl::Duration timeout) {
    context.set_deadline(absl::ToChronoTime(absl::Now() + timeout));
  }

  Executor executor_;
  FakeService service_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<Content::Stub> stub_;
};

TEST_F(GrpcTest, UnaryGivesTheHeadersToTheHandler) {
  grpc::ClientContext context;
  context.AddMetadata("containerd-namespace", "moby");
  context.AddMetadata("containerd-lease", "l 1");
  InfoResponse response;
  ASSERT_TRUE(stub_->Info(&context, InfoRequest(), &response).ok());
  EXPECT_EQ(response.info().digest(), "moby l 1");
}

TEST_F(GrpcTest, MissingNamespaceIsFailedPrecondition) {
  grpc::ClientContext context;
  InfoResponse response;
  const grpc::Status status = stub_->Info(&context, InfoRequest(), &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_NE(status.error_message().find("namespace is required"), std::string::npos);
}

TEST_F(GrpcTest, NamespaceThatIsAPathIsInvalidArgument) {
  for (const char* ns : {"../x", "a/b", "a..b", "-a", "a-"}) {
    grpc::ClientContext context;
    context.AddMetadata("containerd-namespace", ns);
    InfoResponse response;
    EXPECT_EQ(stub_->Info(&context, InfoRequest(), &response).error_code(),
              grpc::StatusCode::INVALID_ARGUMENT)
        << ns;
  }
}

TEST_F(GrpcTest, ExceptionBecomesInternalWithItsText) {
  grpc::ClientContext context;
  InfoRequest request;
  request.set_digest("throw");
  InfoResponse response;
  const grpc::Status status = stub_->Info(&context, request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INTERNAL);
  EXPECT_NE(status.error_message().find("boom"), std::string::npos);
}

TEST_F(GrpcTest, VeryLongMessageStillArrives) {
  grpc::ClientContext context;
  InfoRequest request;
  request.set_digest("long");
  InfoResponse response;
  const grpc::Status status = stub_->Info(&context, request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(status.error_message().size(), kMaxStatusMessageBytes + 3);
}

TEST_F(GrpcTest, HandlerMayReturnAPlainStatusForAnEmptyResponse) {
  grpc::ClientContext first, second;
  AbortRequest request;
  Empty response;
  EXPECT_EQ(stub_->Abort(&first, request, &response).error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);
  request.set_ref("r");
  EXPECT_TRUE(stub_->Abort(&second, request, &response).ok());
}

TEST_F(GrpcTest, FullExecutorAnswersResourceExhausted) {
  // Shared: the threads still look at it when this function has returned.
  const auto release = std::make_shared<Notification>();
  Notification running[2];
  for (auto& notification : running) {
    ASSERT_TRUE(executor_.Post([&notification, release] {
      notification.Notify();
      release->WaitForNotification();
    }));
    notification.WaitForNotification();
  }
  ASSERT_TRUE(executor_.Post([] {}));
  ASSERT_TRUE(executor_.Post([] {}));
  grpc::ClientContext context;
  InfoResponse response;
  EXPECT_EQ(stub_->Info(&context, InfoRequest(), &response).error_code(),
            grpc::StatusCode::RESOURCE_EXHAUSTED);
  release->Notify();
}

TEST_F(GrpcTest, AsyncAnswerMayComeFromAnotherThread) {
  std::thread answerer([this] {
    service_.holding_.WaitForNotification();
    StatusResponse response;
    response.mutable_status()->set_ref("late");
    (*service_.held_)(response);
  });
  grpc::ClientContext context;
  StatusResponse response;
  EXPECT_TRUE(stub_->Status(&context, StatusRequest(), &response).ok());
  EXPECT_EQ(response.status().ref(), "late");
  answerer.join();
}

TEST_F(GrpcTest, AsyncHandlerThatForgetsToAnswerIsUnavailable) {
  grpc::ClientContext context;
  StatusRequest request;
  request.set_ref("drop");
  StatusResponse response;
  EXPECT_EQ(stub_->Status(&context, request, &response).error_code(),
            grpc::StatusCode::UNAVAILABLE);
}

TEST_F(GrpcTest, DeadlineCancelsAnAsyncCallAndALateAnswerDoesNothing) {
  grpc::ClientContext context;
  SetDeadline(context, absl::Milliseconds(50));
  StatusResponse response;
  EXPECT_EQ(stub_->Status(&context, StatusRequest(), &response).error_code(),
            grpc::StatusCode::DEADLINE_EXCEEDED);
  ASSERT_TRUE(service_.cancelled_.WaitForNotificationWithTimeout(absl::Seconds(5)));
  (*service_.held_)(StatusResponse());
}

TEST_F(GrpcTest, PullStreamSendsAllInOrder) {
  grpc::ClientContext context;
  ReadContentRequest request;
  request.set_size(1000);
  auto reader = stub_->Read(&context, request);
  ReadContentResponse response;
  int64_t expected = 1000;
  while (reader->Read(&response)) ASSERT_EQ(response.offset(), --expected);
  EXPECT_TRUE(reader->Finish().ok());
  EXPECT_EQ(expected, 0);
}

TEST_F(GrpcTest, PullStreamThatCannotOpenEndsWithTheError) {
  grpc::ClientContext context;
  ReadContentRequest request;
  request.set_size(-1);
  auto reader = stub_->Read(&context, request);
  ReadContentResponse response;
  EXPECT_FALSE(reader->Read(&response));
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::OUT_OF_RANGE);
}

TEST_F(GrpcTest, PushStreamDeliversAndClosesAfterWhatIsQueued) {
  grpc::ClientContext context;
  auto reader = stub_->List(&context, ListContentRequest());
  service_.holding_.WaitForNotification();
  for (int i = 1; i <= 3; ++i) {
    ListContentResponse response;
    response.add_info()->set_size(i);
    ASSERT_TRUE(service_.sink_->Push(response));
  }
  service_.sink_->Close(absl::OkStatus());
  EXPECT_FALSE(service_.sink_->Push(ListContentResponse()));
  ListContentResponse response;
  for (int i = 1; i <= 3; ++i) {
    ASSERT_TRUE(reader->Read(&response));
    EXPECT_EQ(response.info(0).size(), i);
  }
  EXPECT_FALSE(reader->Read(&response));
  EXPECT_TRUE(reader->Finish().ok());
}

TEST_F(GrpcTest, SubscriberThatFallsBehindIsToldSo) {
  grpc::ClientContext context;
  auto reader = stub_->List(&context, ListContentRequest());
  service_.holding_.WaitForNotification();
  ListContentResponse big;
  big.add_info()->set_digest(std::string(1 << 20, 'x'));
  bool overflowed = false;
  for (int i = 0; i < 1000 && !overflowed; ++i) overflowed = !service_.sink_->Push(big);
  ASSERT_TRUE(overflowed);
  ListContentResponse response;
  while (reader->Read(&response)) continue;
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
}

TEST_F(GrpcTest, PushStreamLearnsThatTheClientLeft) {
  grpc::ClientContext context;
  auto reader = stub_->List(&context, ListContentRequest());
  service_.holding_.WaitForNotification();
  context.TryCancel();
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::CANCELLED);
  ASSERT_TRUE(service_.cancelled_.WaitForNotificationWithTimeout(absl::Seconds(5)));
}

TEST_F(GrpcTest, BidiAnswersEachRequestAndFreesTheSessionBeforeTheEnd) {
  grpc::ClientContext context;
  auto stream = stub_->Write(&context);
  WriteContentRequest request;
  request.set_data("abc");
  WriteContentResponse response;
  for (int i = 1; i <= 3; ++i) {
    ASSERT_TRUE(stream->Write(request));
    ASSERT_TRUE(stream->Read(&response));
    EXPECT_EQ(response.offset(), 3 * i);
  }
  stream->WritesDone();
  EXPECT_TRUE(stream->Finish().ok());
  EXPECT_EQ(service_.open_sessions_, 0);
}

TEST_F(GrpcTest, BidiErrorEndsTheCallAndFinishEndsItWithOk) {
  for (const auto& [ref, code] : {std::pair("fail", grpc::StatusCode::OUT_OF_RANGE),
                                  std::pair("last", grpc::StatusCode::OK)}) {
    grpc::ClientContext context;
    auto stream = stub_->Write(&context);
    WriteContentRequest request;
    request.set_ref(ref);
    ASSERT_TRUE(stream->Write(request));
    WriteContentResponse response;
    EXPECT_EQ(stream->Read(&response), code == grpc::StatusCode::OK);
    EXPECT_EQ(stream->Finish().error_code(), code);
    EXPECT_EQ(service_.open_sessions_, 0);
  }
}

TEST_F(GrpcTest, BidiSessionGoesWhenTheClientVanishes) {
  grpc::ClientContext context;
  auto stream = stub_->Write(&context);
  ASSERT_TRUE(stream->Write(WriteContentRequest()));
  WriteContentResponse response;
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_EQ(service_.open_sessions_, 1);
  context.TryCancel();
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::CANCELLED);
  const absl::Time deadline = absl::Now() + absl::Seconds(5);
  while (service_.open_sessions_ != 0 && absl::Now() < deadline) std::this_thread::yield();
  EXPECT_EQ(service_.open_sessions_, 0);
}

}  // namespace
}  // namespace berth
