// Many containers on record: how fast they are listed and one is found; and how fast events pass.
#include <sys/resource.h>

#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/os/mutex.h"
#include "tests/bench/in_parallel.h"
#include "tests/bench/sections.h"
#include "tests/bench/stubs.h"

namespace berth::bench {
namespace {

namespace containers = containerd::services::containers::v1;
namespace events = containerd::services::events::v1;
using ContainersStub = containers::Containers::Stub;

constexpr int kWriters = 8;
constexpr int kGets = 200;
constexpr int kEvents = 500;
constexpr int kMostAttempts = 500;

std::string RecordId(int number) { return absl::StrCat("bench-record-", number); }

absl::Status MakeRecords(Server& server, int count) {
  const std::string spec = ContainerSpec(server.group(), "record", {{"/bin/true"}});
  return InParallel(kWriters, 0, count, [&](int number) {
    containers::CreateContainerRequest create;
    containers::Container* container = create.mutable_container();
    container->set_id(RecordId(number));
    container->mutable_runtime()->set_name("io.containerd.runc.v2");
    container->mutable_spec()->set_value(spec);
    containers::CreateContainerResponse created;
    return Call(server.stubs().containers, &ContainersStub::Create, create, &created);
  });
}

absl::Status RemoveRecords(Server& server, int count) {
  return InParallel(kWriters, 0, count, [&](int number) {
    containers::DeleteContainerRequest remove;
    remove.set_id(RecordId(number));
    google::protobuf::Empty empty;
    return Call(server.stubs().containers, &ContainersStub::Delete, remove, &empty);
  });
}

// This process's, which is what a client of any server spends.
double ProcessorMs() {
  struct rusage usage = {};
  ::getrusage(RUSAGE_SELF, &usage);
  return absl::ToDoubleMilliseconds(absl::DurationFromTimeval(usage.ru_utime) +
                                    absl::DurationFromTimeval(usage.ru_stime));
}

struct ListTimes {
  double wall_ms = 0;
  double client_ms = 0;
};

// A list of all, by the streaming call: one message does not hold ten thousand specs everywhere.
absl::StatusOr<ListTimes> List(Server& server, int expected) {
  Context context;
  const absl::Time begin = absl::Now();
  const double spent = ProcessorMs();
  auto reader = server.stubs().containers.ListStream(&context.context, {});
  containers::ListContainerMessage message;
  int found = 0;
  while (reader->Read(&message)) ++found;
  BERTH_RETURN_IF_ERROR(FromGrpc(reader->Finish())) << server.label() << ": ListStream";
  if (found < expected) return absl::InternalError(absl::StrCat("listed only ", found));
  return ListTimes{absl::ToDoubleMilliseconds(absl::Now() - begin), ProcessorMs() - spent};
}

absl::StatusOr<std::vector<double>> GetMs(Server& server, int count) {
  std::vector<double> times;
  for (int i = 0; i < kGets; ++i) {
    containers::GetContainerRequest get;
    get.set_id(RecordId(i * 37 % count));
    containers::GetContainerResponse got;
    const absl::Time begin = absl::Now();
    BERTH_RETURN_IF_ERROR(Call(server.stubs().containers, &ContainersStub::Get, get, &got));
    times.push_back(absl::ToDoubleMilliseconds(absl::Now() - begin));
  }
  return times;
}

absl::StatusOr<Servers::Values> RunTurn(Server& server, int count) {
  BERTH_ASSIGN_OR_RETURN(const ListTimes list, List(server, count));
  BERTH_ASSIGN_OR_RETURN(const std::vector<double> gets, GetMs(server, count));
  return Servers::Values{{list.wall_ms}, {list.client_ms}, gets};
}

// Subscribes to one topic and notes the number of the last event that came. The number is the
// event's value.
class Subscriber {
 public:
  Subscriber(Server& server, const std::string& topic) {
    events::SubscribeRequest subscribe;
    subscribe.add_filters(absl::StrCat("topic==\"", topic, "\""));
    reader_ = server.stubs().events.Subscribe(&context_.context, subscribe);
    thread_ = std::thread([this] {
      events::Envelope envelope;
      while (reader_->Read(&envelope)) {
        int number = 0;
        if (!absl::SimpleAtoi(envelope.event().value(), &number)) continue;
        MutexLock lock(&mutex_);
        last_ = number;
      }
    });
  }
  ~Subscriber() {
    context_.context.TryCancel();
    thread_.join();
  }
  // False after `timeout` without the event `number` or a later one.
  bool WaitFor(int number, absl::Duration timeout) {
    const auto came = [&] { return last_ >= number; };
    MutexLock lock(&mutex_);
    return mutex_.AwaitWithTimeout(absl::Condition(&came), timeout);
  }

 private:
  Context context_;
  std::unique_ptr<grpc::ClientReader<events::Envelope>> reader_;
  Mutex mutex_;
  int last_ ABSL_GUARDED_BY(mutex_) = -1;
  std::thread thread_;
};

absl::Status Publish(Server& server, const std::string& topic, int number) {
  events::PublishRequest publish;
  publish.set_topic(topic);
  publish.mutable_event()->set_type_url("containerd.events.NamespaceCreate");
  publish.mutable_event()->set_value(absl::StrCat(number));
  google::protobuf::Empty empty;
  return Call(server.stubs().events, &events::Events::Stub::Publish, publish, &empty);
}

// Events one after the other: how long after the call began the subscriber has each.
absl::StatusOr<Servers::Values> PublishAndReceive(Server& server, int turn) {
  const std::string topic = absl::StrCat("/bench/turn-", turn);
  Subscriber subscriber(server, topic);
  // Not every server says when a subscription has begun.
  int number = 0;
  do {
    BERTH_RETURN_IF_ERROR(Publish(server, topic, ++number)) << server.label() << ": Publish";
  } while (!subscriber.WaitFor(1, absl::Milliseconds(20)) && number < kMostAttempts);
  std::vector<double> times;
  const absl::Time first = absl::Now();
  for (int i = 0; i < kEvents; ++i) {
    const absl::Time begin = absl::Now();
    BERTH_RETURN_IF_ERROR(Publish(server, topic, ++number)) << server.label() << ": Publish";
    if (!subscriber.WaitFor(number, kCallTimeout)) {
      return absl::DeadlineExceededError(absl::StrCat(server.label(), ": an event did not come"));
    }
    times.push_back(absl::ToDoubleMilliseconds(absl::Now() - begin));
  }
  return Servers::Values{times, {kEvents / absl::ToDoubleSeconds(absl::Now() - first)}};
}

absl::Status MeasureWithRecords(const Servers& servers, const Plan& plan, Report* report) {
  Measure list(absl::StrCat("list of ", plan.records, " containers"), "ms", Better::kLower);
  list.target = {Target::Of::kRatioAtLeast, 5};
  // No server can make a list faster than its client takes it.
  Measure client("  the client's processor time", "ms", Better::kLower);
  Measure get(absl::StrCat("get one of ", plan.records), "ms", Better::kLower);
  for (int turn = 0; turn < Servers::kWarmUpTurns + plan.few_turns; ++turn) {
    BERTH_RETURN_IF_ERROR(
        servers.Turn(turn, [&](Server& server) { return RunTurn(server, plan.records); },
                     {&list, &client, &get}));
  }
  report->Add(std::move(list));
  report->Add(std::move(client));
  report->Add(std::move(get));
  return absl::OkStatus();
}

}  // namespace

absl::Status MeasureRecords(const Servers& servers, const Plan& plan, Report* report) {
  absl::Status measured;
  for (Server* server : {&servers.berthd(), &servers.containerd()}) {
    measured.Update(Annotate(MakeRecords(*server, plan.records), server->label()));
  }
  if (measured.ok()) measured = MeasureWithRecords(servers, plan, report);
  for (Server* server : {&servers.berthd(), &servers.containerd()}) {
    measured.Update(Annotate(RemoveRecords(*server, plan.records), server->label()));
  }
  BERTH_RETURN_IF_ERROR(measured);

  Measure delivery("event from publisher to subscriber", "ms", Better::kLower);
  Measure rate("events, one after the other", "1/s", Better::kHigher);
  for (int turn = 0; turn < Servers::kWarmUpTurns + plan.few_turns; ++turn) {
    BERTH_RETURN_IF_ERROR(servers.Turn(
        turn, [&](Server& server) { return PublishAndReceive(server, turn); }, {&delivery, &rate}));
  }
  report->Add(std::move(delivery));
  report->Add(std::move(rate));
  return absl::OkStatus();
}

}  // namespace berth::bench
