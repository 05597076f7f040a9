// Tasks and Events as clients see them: over gRPC, and over ttrpc for shims.
#include <grpcpp/grpcpp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/os/fd_factories.h"
#include "base/ttrpc/client.h"
#include "gtest/gtest.h"
#include "proto/containerd/events/task.pb.h"
#include "proto/containerd/services/ttrpc/events/v1/events.pb.h"
#include "server/api/events_service.h"
#include "server/api/events_ttrpc.h"
#include "server/api/tasks_service.h"
#include "server/task/testing/task_fixture.h"

namespace berth {
namespace {

namespace tasks = containerd::services::tasks::v1;
namespace events = containerd::services::events::v1;

class ApiTest : public TaskFixture {
 protected:
  ApiTest()
      : tasks_service_(*manager_, std::make_shared<Operations>()),
        executor_(2, 64, "test"),
        events_service_(exchange_, executor_) {
    grpc::ServerBuilder builder;
    builder.RegisterService(&tasks_service_);
    builder.RegisterService(&events_service_);
    server_ = builder.BuildAndStart();
    channel_ = server_->InProcessChannel(grpc::ChannelArguments());
    tasks_stub_ = tasks::Tasks::NewStub(channel_);
    events_stub_ = events::Events::NewStub(channel_);
  }
  ~ApiTest() override {
    manager_->Stop();
    server_->Shutdown(std::chrono::system_clock::now() + std::chrono::seconds(5));
  }
  static std::unique_ptr<grpc::ClientContext> InNamespace(const std::string& ns) {
    auto context = std::make_unique<grpc::ClientContext>();
    if (!ns.empty()) context->AddMetadata("containerd-namespace", ns);
    context->set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
    return context;
  }

  TasksService tasks_service_;
  Executor executor_;
  EventsService events_service_;
  std::unique_ptr<grpc::Server> server_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<tasks::Tasks::Stub> tasks_stub_;
  std::unique_ptr<events::Events::Stub> events_stub_;
};

TEST_F(ApiTest, TasksNeedANamespace) {
  tasks::ListTasksResponse response;
  EXPECT_EQ(tasks_stub_->List(InNamespace("").get(), {}, &response).error_code(),
            grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_TRUE(tasks_stub_->List(InNamespace("default").get(), {}, &response).ok());
}

TEST_F(ApiTest, ATaskRunsOverGrpc) {
  AddContainer("web", "exit-7");
  tasks::CreateTaskRequest create;
  create.set_container_id("web");
  tasks::CreateTaskResponse created;
  ASSERT_TRUE(tasks_stub_->Create(InNamespace("default").get(), create, &created).ok());
  EXPECT_GT(created.pid(), 0u);
  EXPECT_EQ(tasks_stub_->Create(InNamespace("default").get(), create, &created).error_code(),
            grpc::StatusCode::ALREADY_EXISTS);
  tasks::StartRequest start;
  start.set_container_id("web");
  tasks::StartResponse started;
  ASSERT_TRUE(tasks_stub_->Start(InNamespace("default").get(), start, &started).ok());
  tasks::WaitRequest wait;
  wait.set_container_id("web");
  tasks::WaitResponse waited;
  ASSERT_TRUE(tasks_stub_->Wait(InNamespace("default").get(), wait, &waited).ok());
  EXPECT_EQ(waited.exit_status(), 7u);
}

TEST_F(ApiTest, AWaitEndsWithItsClientsDeadline) {
  AddContainer("web");
  ASSERT_EQ(Create("web"), absl::OkStatus());
  tasks::WaitRequest wait;
  wait.set_container_id("web");
  tasks::WaitResponse waited;
  const auto context = InNamespace("default");
  context->set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(100));
  EXPECT_EQ(tasks_stub_->Wait(context.get(), wait, &waited).error_code(),
            grpc::StatusCode::DEADLINE_EXCEEDED);
}

TEST_F(ApiTest, SubscribersNeedNoNamespaceAndGetEventsInOrder) {
  const auto context = InNamespace("");
  events::SubscribeRequest request;
  request.add_filters("topic==\"/test/event\"");
  auto stream = events_stub_->Subscribe(context.get(), request);
  stream->WaitForInitialMetadata();
  google::protobuf::Empty empty;
  events::PublishRequest publish;
  publish.set_topic("/test/event");
  publish.mutable_event()->set_type_url("example.Event");
  for (int i = 0; i < 100; ++i) {
    publish.mutable_event()->set_value(absl::StrCat(i));
    ASSERT_TRUE(events_stub_->Publish(InNamespace("default").get(), publish, &empty).ok());
  }
  for (int i = 0; i < 100; ++i) {
    events::Envelope envelope;
    ASSERT_TRUE(stream->Read(&envelope));
    EXPECT_EQ(envelope.event().value(), absl::StrCat(i));
    EXPECT_EQ(envelope.namespace_(), "default");
  }
  context->TryCancel();
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::CANCELLED);
}

TEST_F(ApiTest, BadFiltersAndEventsAreInvalid) {
  const auto context = InNamespace("");
  events::SubscribeRequest request;
  request.add_filters("topic==");
  events::Envelope envelope;
  auto stream = events_stub_->Subscribe(context.get(), request);
  EXPECT_FALSE(stream->Read(&envelope));
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  google::protobuf::Empty empty;
  events::PublishRequest publish;
  publish.set_topic("/ok");
  EXPECT_EQ(events_stub_->Publish(InNamespace("").get(), publish, &empty).error_code(),
            grpc::StatusCode::FAILED_PRECONDITION);
  publish.set_topic("no-slash");
  EXPECT_EQ(events_stub_->Publish(InNamespace("default").get(), publish, &empty).error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(events_stub_->Forward(InNamespace("default").get(), {}, &empty).error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(ApiTest, CloseEndsAStreamWithUnavailable) {
  const auto context = InNamespace("");
  auto stream = events_stub_->Subscribe(context.get(), {});
  stream->WaitForInitialMetadata();
  exchange_.Close();
  events::Envelope envelope;
  EXPECT_FALSE(stream->Read(&envelope));
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
}

TEST(EventsTtrpcTest, WhatAShimForwardsIsPublishedAndAcknowledged) {
  Exchange exchange;
  auto subscription = exchange.Subscribe({}, [] {});
  ASSERT_TRUE(subscription.ok());
  auto loop = Loop::Create();
  ASSERT_TRUE(loop.ok());
  EventsTtrpc endpoint(**loop, exchange);
  char directory[] = "/tmp/berth-events-test-XXXXXX";
  const std::string address = absl::StrCat(::mkdtemp(directory), "/ttrpc");
  auto listener = ListenUnix(address, 0600, 8);
  ASSERT_TRUE(listener.ok());
  ASSERT_TRUE(endpoint.Serve(*std::move(listener)).ok());
  auto socket = ConnectUnix(address, SOCK_NONBLOCK);
  ASSERT_TRUE(socket.ok());
  ttrpc::Client client(**loop, *std::move(socket), [](const absl::Status&) {});

  containerd::services::events::ttrpc::v1::ForwardRequest request;
  auto& envelope = *request.mutable_envelope();
  envelope.set_namespace_("default");
  envelope.set_topic("/tasks/exit");
  envelope.mutable_event()->set_type_url("containerd.events.TaskExit");
  std::vector<absl::Status> answers;
  const auto forward = [&] {
    client.Call("containerd.services.events.ttrpc.v1.Events", "Forward",
                request.SerializeAsString(), {}, absl::Seconds(10),
                [&](absl::StatusOr<std::string> answer) { answers.push_back(answer.status()); });
    const size_t before = answers.size();
    while (answers.size() == before) ASSERT_TRUE((*loop)->RunOnce(absl::Seconds(10)).ok());
  };
  forward();  // without a timestamp
  envelope.mutable_timestamp()->set_seconds(1);
  forward();
  EXPECT_EQ(answers[0].code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(answers[1].ok()) << answers[1];
  auto next = (*subscription)->Next();
  ASSERT_TRUE(next.ok());
  ASSERT_NE(*next, nullptr);
  EXPECT_EQ((*next)->topic(), "/tasks/exit");
  EXPECT_EQ((*next)->timestamp().seconds(), 1);
  ::unlink(address.c_str());
  ::rmdir(directory);
}

}  // namespace
}  // namespace berth
