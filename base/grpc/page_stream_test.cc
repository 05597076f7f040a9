#include "base/grpc/page_stream.h"

#include <grpcpp/create_channel_posix.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/server_posix.h>
#include <sys/socket.h>

#include <atomic>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/os/mutex.h"
#include "gtest/gtest.h"
#include "proto/containerd/services/content/v1/content.grpc.pb.h"

namespace berth {
namespace {

using containerd::services::content::v1::Content;
using containerd::services::content::v1::ReadContentRequest;
using containerd::services::content::v1::ReadContentResponse;

constexpr int kPageMessages = 100;

class RawReadService final : public Content::WithRawMethod_Read<Content::Service> {
 public:
  PageStreams::Method ReadMethod() {
    return {
        .request = [this](auto* context, auto* request, auto* writer, auto* queue,
                          void* tag) { RequestRead(context, request, writer, queue, queue, tag); },
        .open = [this](const CallInfo& call,
                       grpc::ByteBuffer& request) { return Open(call, request); }};
  }
  int pages() const { return pages_; }
  // False when it takes longer than anything should.
  bool WaitForNoSource() {
    const auto none = [this] { return open_sources_ == 0; };
    MutexLock lock(&mutex_);
    return mutex_.AwaitWithTimeout(absl::Condition(&none), absl::Seconds(30));
  }

 private:
  // `size` messages of `offset` bytes each; the digest chooses how it ends.
  absl::StatusOr<PageSource> Open(const CallInfo& call, grpc::ByteBuffer& bytes) {
    ReadContentRequest request;
    if (!grpc::SerializationTraits<ReadContentRequest>::Deserialize(&bytes, &request).ok() ||
        request.digest() == "refuse") {
      return absl::OutOfRangeError(absl::StrCat("refused in ", call.ns));
    }
    return PageSource([this, request, next = int64_t{0},
                       alive = CountSource()](MessagePage& page) mutable -> absl::StatusOr<bool> {
      ++pages_;
      if (request.digest() == "break" && next > 0) return absl::DataLossError("half of it");
      for (int i = 0; i < kPageMessages && next < request.size(); ++i) {
        ReadContentResponse response;
        response.set_offset(next++);
        response.set_data(std::string(static_cast<size_t>(request.offset()), 'x'));
        bool own_buffer = false;
        page.emplace_back();
        EXPECT_TRUE(grpc::SerializationTraits<ReadContentResponse>::Serialize(
                        response, &page.back(), &own_buffer)
                        .ok());
      }
      return next < request.size();
    });
  }

  // Counted until it is destroyed.
  std::shared_ptr<void> CountSource() {
    MutexLock lock(&mutex_);
    ++open_sources_;
    return {nullptr, [this](void*) {
              MutexLock lock(&mutex_);
              --open_sources_;
            }};
  }

  std::atomic<int> pages_{0};
  Mutex mutex_;
  int open_sources_ ABSL_GUARDED_BY(mutex_) = 0;
};

class PageStreamTest : public testing::Test {
 protected:
  PageStreamTest() {
    grpc::ServerBuilder builder;
    builder.RegisterService(&service_);
    streams_ = std::make_unique<PageStreams>(builder, executor_);
    server_ = builder.BuildAndStart();
    streams_->Start({service_.ReadMethod()});
    // A socket: in one process there is no flow control to be held up by.
    int ends[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), 0);
    grpc::AddInsecureChannelFromFd(server_.get(), ends[0]);
    stub_ = Content::NewStub(grpc::CreateInsecureChannelFromFd("server", ends[1]));
  }
  ~PageStreamTest() override {
    server_->Shutdown(std::chrono::system_clock::now() + std::chrono::seconds(5));
    executor_.Stop();
    streams_->Stop();
    EXPECT_TRUE(service_.WaitForNoSource());
  }
  std::unique_ptr<grpc::ClientReader<ReadContentResponse>> Read(int64_t messages, int64_t bytes,
                                                                const std::string& digest = "") {
    context_.AddMetadata("containerd-namespace", "moby");
    ReadContentRequest request;
    request.set_size(messages);
    request.set_offset(bytes);
    request.set_digest(digest);
    return stub_->Read(&context_, request);
  }

  Executor executor_{2, 4};
  RawReadService service_;
  std::unique_ptr<PageStreams> streams_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<Content::Stub> stub_;
  grpc::ClientContext context_;
};

TEST_F(PageStreamTest, SendsAllInOrder) {
  // Together more than any window of flow control holds.
  for (const int64_t bytes : {10, 12'000, 100'000}) {
    grpc::ClientContext context;
    ReadContentRequest request;
    request.set_size(1005);
    request.set_offset(bytes);
    auto reader = stub_->Read(&context, request);
    ReadContentResponse response;
    for (int64_t i = 0; i < 1005; ++i) {
      ASSERT_TRUE(reader->Read(&response)) << i << " of " << bytes;
      ASSERT_EQ(response.offset(), i);
      ASSERT_EQ(static_cast<int64_t>(response.data().size()), bytes);
    }
    EXPECT_FALSE(reader->Read(&response));
    EXPECT_TRUE(reader->Finish().ok());
  }
}

TEST_F(PageStreamTest, AnEmptyListIsAnEnd) {
  auto reader = Read(0, 1);
  ReadContentResponse response;
  EXPECT_FALSE(reader->Read(&response));
  EXPECT_TRUE(reader->Finish().ok());
}

TEST_F(PageStreamTest, WhatCannotBeOpenedEndsWithTheError) {
  auto reader = Read(1, 1, "refuse");
  ReadContentResponse response;
  EXPECT_FALSE(reader->Read(&response));
  const grpc::Status status = reader->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::OUT_OF_RANGE);
  EXPECT_EQ(status.error_message(), "refused in moby");
}

TEST_F(PageStreamTest, AnErrorOfALaterPageEndsTheCallWithIt) {
  auto reader = Read(3 * kPageMessages, 1, "break");
  ReadContentResponse response;
  int read = 0;
  while (reader->Read(&response)) ++read;
  EXPECT_EQ(read, kPageMessages);
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::DATA_LOSS);
}

TEST_F(PageStreamTest, AClientThatDoesNotReadIsWaitedForAndMayLeave) {
  auto reader = Read(1'000'000, 100'000);
  ReadContentResponse response;
  ASSERT_TRUE(reader->Read(&response));
  context_.TryCancel();
  while (reader->Read(&response)) {
  }
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::CANCELLED);
  EXPECT_TRUE(service_.WaitForNoSource());
  // No more pages than flow control took: what is not read is not made.
  EXPECT_LT(service_.pages(), 100);
}

TEST_F(PageStreamTest, ShutdownEndsACallThatWaits) {
  auto reader = Read(1'000'000, 100'000);
  ReadContentResponse response;
  ASSERT_TRUE(reader->Read(&response));
  server_->Shutdown(std::chrono::system_clock::now());
  while (reader->Read(&response)) {
  }
  EXPECT_FALSE(reader->Finish().ok());
}

}  // namespace
}  // namespace berth
