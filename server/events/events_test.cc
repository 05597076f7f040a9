#include <string>
#include <thread>
#include <vector>

#include "absl/time/clock.h"
#include "gtest/gtest.h"
#include "proto/containerd/events/container.pb.h"
#include "proto/containerd/events/task.pb.h"
#include "server/events/event_fields.h"
#include "server/events/exchange.h"
#include "server/events/topic.h"

namespace berth {
namespace {

containerd::events::TaskExit Exit(const std::string& id, uint32_t status) {
  containerd::events::TaskExit exit;
  exit.set_container_id("web");
  exit.set_id(id);
  exit.set_exit_status(status);
  return exit;
}

// All topics that wait in `subscription`.
std::vector<std::string> Topics(Subscription& subscription) {
  std::vector<std::string> topics;
  while (true) {
    auto next = subscription.Next();
    if (!next.ok() || *next == nullptr) return topics;
    topics.push_back((*next)->topic());
  }
}

TEST(TopicTest, IsASlashAndIdentifiers) {
  EXPECT_TRUE(ValidateTopic("/tasks/exit").ok());
  EXPECT_TRUE(ValidateTopic("/a").ok());
  for (const char* bad : {"", "/", "tasks/exit", "/tasks/", "//exit", "/tasks/ex it", "/-a"}) {
    EXPECT_EQ(ValidateTopic(bad).code(), absl::StatusCode::kInvalidArgument) << bad;
  }
}

TEST(EventFieldsTest, FindsWhatFiltersAskFor) {
  EventEnvelope envelope;
  envelope.set_namespace_("moby");
  envelope.set_topic("/containers/update");
  containerd::events::ContainerUpdate update;
  update.set_id("web");
  (*update.mutable_labels())["com.example/a"] = "1";
  envelope.mutable_event()->set_type_url("containerd.events.ContainerUpdate");
  envelope.mutable_event()->set_value(update.SerializeAsString());
  EventFields fields(envelope);
  EXPECT_EQ(fields.Find({"namespace"}), "moby");
  EXPECT_EQ(fields.Find({"topic"}), "/containers/update");
  EXPECT_EQ(fields.Find({"event", "id"}), "web");
  EXPECT_EQ(fields.Find({"event", "labels", "com", "example/a"}), "1");
  EXPECT_EQ(fields.Find({"event", "labels", "absent"}), std::nullopt);
  EXPECT_EQ(fields.Find({"event", "nothing"}), std::nullopt);
  EXPECT_EQ(fields.Find({"event"}), std::nullopt);
  EXPECT_EQ(fields.Find({"other"}), std::nullopt);
}

TEST(EventFieldsTest, UnknownTypesAndBrokenBytesHaveNoFields) {
  EventEnvelope envelope;
  envelope.mutable_event()->set_type_url("example.Unknown");
  EXPECT_EQ(EventFields(envelope).Find({"event", "id"}), std::nullopt);
  envelope.mutable_event()->set_type_url("containerd.events.TaskExit");
  envelope.mutable_event()->set_value("\xff\xff\xff");
  EXPECT_EQ(EventFields(envelope).Find({"event", "id"}), std::nullopt);
}

TEST(ExchangeTest, SubscribersGetWhatTheirFiltersLetThrough) {
  Exchange exchange;
  int told = 0;
  auto dockerd = exchange.Subscribe({"namespace==moby,topic~=|^/tasks/|"}, [&] { ++told; });
  ASSERT_TRUE(dockerd.ok()) << dockerd.status();
  auto by_event = exchange.Subscribe({"event.id==two", "topic==\"/tasks/start\""}, [] {});
  ASSERT_TRUE(by_event.ok());
  auto all = exchange.Subscribe({}, [] {});
  ASSERT_TRUE(all.ok());
  exchange.Publish("moby", "/tasks/exit", Exit("one", 0));
  exchange.Publish("default", "/tasks/exit", Exit("two", 0));
  exchange.Publish("moby", "/containers/create", containerd::events::ContainerCreate());
  exchange.Publish("moby", "/tasks/start", containerd::events::TaskStart());
  EXPECT_EQ(Topics(**dockerd), (std::vector<std::string>{"/tasks/exit", "/tasks/start"}));
  EXPECT_EQ(told, 2);
  EXPECT_EQ(Topics(**by_event), (std::vector<std::string>{"/tasks/exit", "/tasks/start"}));
  EXPECT_EQ(Topics(**all).size(), 4u);
}

TEST(ExchangeTest, PublishedEventsCarryBareTypeNameNamespaceAndTime) {
  Exchange exchange;
  auto subscription = exchange.Subscribe({}, [] {});
  ASSERT_TRUE(subscription.ok());
  const absl::Time before = absl::Now();
  exchange.Publish("default", "/tasks/exit", Exit("web", 137));
  auto next = (*subscription)->Next();
  ASSERT_TRUE(next.ok());
  ASSERT_NE(*next, nullptr);
  EXPECT_EQ((*next)->event().type_url(), "containerd.events.TaskExit");
  containerd::events::TaskExit exit;
  ASSERT_TRUE(exit.ParseFromString((*next)->event().value()));
  EXPECT_EQ(exit.exit_status(), 137u);
  EXPECT_EQ((*next)->namespace_(), "default");
  EXPECT_GE((*next)->timestamp().seconds(), absl::ToUnixSeconds(before));
}

TEST(ExchangeTest, ForwardKeepsTheTimestampAndRefusesAnIncompleteEnvelope) {
  Exchange exchange;
  auto subscription = exchange.Subscribe({}, [] {});
  ASSERT_TRUE(subscription.ok());
  EventEnvelope envelope;
  envelope.set_namespace_("default");
  envelope.set_topic("/tasks/exit");
  EXPECT_EQ(exchange.Forward(envelope).code(), absl::StatusCode::kInvalidArgument);
  envelope.mutable_timestamp()->set_seconds(42);
  EXPECT_TRUE(exchange.Forward(envelope).ok());
  EventEnvelope unnamed = envelope;
  unnamed.clear_namespace_();
  EXPECT_EQ(exchange.Forward(unnamed).code(), absl::StatusCode::kInvalidArgument);
  EventEnvelope badly_named = envelope;
  badly_named.set_topic("tasks");
  EXPECT_EQ(exchange.Forward(badly_named).code(), absl::StatusCode::kInvalidArgument);
  auto next = (*subscription)->Next();
  ASSERT_TRUE(next.ok());
  EXPECT_EQ((*next)->timestamp().seconds(), 42);
  EXPECT_TRUE(Topics(**subscription).empty());
}

TEST(ExchangeTest, ClientsPublicationsAreChecked) {
  Exchange exchange;
  EXPECT_EQ(exchange.PublishAny("", "/a", {}).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(exchange.PublishAny("default", "a", {}).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(exchange.PublishAny("default", "/a", {}).ok());
}

TEST(ExchangeTest, ASubscriberThatFallsBehindGetsItsQueueAndThenResourceExhausted) {
  Exchange exchange({.queued_events = 3});
  auto slow = exchange.Subscribe({}, [] {});
  auto fast = exchange.Subscribe({}, [] {});
  ASSERT_TRUE(slow.ok() && fast.ok());
  for (int i = 0; i < 5; ++i) {
    exchange.Publish("default", "/tasks/exit", Exit("web", 0));
    EXPECT_EQ(Topics(**fast).size(), 1u);
  }
  for (int i = 0; i < 3; ++i) EXPECT_TRUE((*slow)->Next().ok());
  EXPECT_EQ((*slow)->Next().status().code(), absl::StatusCode::kResourceExhausted);
}

TEST(ExchangeTest, BytesAreBoundedAsWellAsEvents) {
  Exchange exchange({.queued_bytes = 1000});
  auto subscription = exchange.Subscribe({}, [] {});
  ASSERT_TRUE(subscription.ok());
  const auto big = Exit(std::string(800, 'x'), 0);
  exchange.Publish("default", "/tasks/exit", big);
  exchange.Publish("default", "/tasks/exit", big);
  EXPECT_TRUE((*subscription)->Next().ok());
  EXPECT_EQ((*subscription)->Next().status().code(), absl::StatusCode::kResourceExhausted);
}

TEST(ExchangeTest, BadFiltersAndTooManySubscribersAreRefused) {
  Exchange exchange({.subscribers = 1});
  EXPECT_EQ(exchange.Subscribe({"topic=="}, [] {}).status().code(),
            absl::StatusCode::kInvalidArgument);
  auto first = exchange.Subscribe({}, [] {});
  ASSERT_TRUE(first.ok());
  EXPECT_EQ(exchange.Subscribe({}, [] {}).status().code(), absl::StatusCode::kResourceExhausted);
  first->reset();
  EXPECT_TRUE(exchange.Subscribe({}, [] {}).ok());
}

TEST(ExchangeTest, CloseEndsSubscriptionsAfterTheirQueue) {
  Exchange exchange;
  bool told = false;
  auto subscription = exchange.Subscribe({}, [&] { told = true; });
  ASSERT_TRUE(subscription.ok());
  exchange.Publish("default", "/tasks/exit", Exit("web", 0));
  told = false;
  exchange.Close();
  EXPECT_TRUE(told);
  EXPECT_TRUE((*subscription)->Next().ok());
  EXPECT_EQ((*subscription)->Next().status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(exchange.Subscribe({}, [] {}).status().code(), absl::StatusCode::kUnavailable);
}

TEST(ExchangeTest, AllSubscribersSeeConcurrentPublishersInOneOrder) {
  Exchange exchange;
  auto one = exchange.Subscribe({}, [] {});
  auto two = exchange.Subscribe({}, [] {});
  ASSERT_TRUE(one.ok() && two.ok());
  std::vector<std::thread> publishers;
  for (const char* topic : {"/a", "/b", "/c"}) {
    publishers.emplace_back([&exchange, topic] {
      for (int i = 0; i < 500; ++i) exchange.Publish("default", topic, Exit("web", 0));
    });
  }
  for (std::thread& publisher : publishers) publisher.join();
  const std::vector<std::string> order = Topics(**one);
  EXPECT_EQ(order.size(), 1500u);
  EXPECT_EQ(order, Topics(**two));
}

}  // namespace
}  // namespace berth
