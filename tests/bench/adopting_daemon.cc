#include "tests/bench/adopting_daemon.h"

#include <signal.h>

#include <algorithm>
#include <iostream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/os/mutex.h"
#include "base/status/status_macros.h"
#include "tests/bench/bench_daemon.h"
#include "tests/bench/in_parallel.h"
#include "tests/bench/process_numbers.h"
#include "tests/bench/stubs.h"

namespace berth::bench {
namespace {

namespace tasks = containerd::services::tasks::v1;

constexpr int kClients = 4;
constexpr absl::Duration kPatience = absl::Minutes(3);

absl::StatusOr<int> CountRunning(Stubs& stubs) {
  tasks::ListTasksResponse response;
  BERTH_RETURN_IF_ERROR(
      Call(stubs.tasks, &tasks::Tasks::Stub::List, tasks::ListTasksRequest(), &response));
  return static_cast<int>(std::count_if(
      response.tasks().begin(), response.tasks().end(),
      [](const auto& task) { return task.status() == containerd::v1::types::RUNNING; }));
}

}  // namespace

AdoptingDaemon::AdoptingDaemon(AdoptingProgram program)
    : program_(std::move(program)),
      server_(program_.label, SocketOf(program_.directory), program_.snapshotter, program_.group) {}

AdoptingDaemon::~AdoptingDaemon() {
  const absl::Status status = Stop();
  if (!status.ok()) std::cerr << program_.label << ": what adoption leaves: " << status << "\n";
}

std::string AdoptingDaemon::IdOf(int number) const {
  return absl::StrCat("bench-adopt-", program_.label, "-", number);
}

int64_t AdoptingDaemon::ResidentKib() const { return MemoryKib(daemon_.pid(), "Rss:"); }

absl::Status AdoptingDaemon::CheckAnswers(Stubs& stubs) const {
  if (containers_ == 0) return absl::OkStatus();
  tasks::GetRequest get;
  get.set_container_id(IdOf(restarts_ % containers_));
  tasks::GetResponse got;
  BERTH_RETURN_IF_ERROR(Call(stubs.tasks, &tasks::Tasks::Stub::Get, get, &got)) << "Tasks.Get";
  tasks::ListPidsRequest list;
  list.set_container_id(IdOf(containers_ - 1 - restarts_ % containers_));
  tasks::ListPidsResponse pids;
  return Annotate(Call(stubs.tasks, &tasks::Tasks::Stub::ListPids, list, &pids), "Tasks.ListPids");
}

absl::StatusOr<absl::Duration> AdoptingDaemon::Adopt() {
  const absl::Time begin = absl::Now();
  BERTH_ASSIGN_OR_RETURN(
      daemon_, StartDaemon(program_.bin, program_.name, program_.directory, program_.arguments));
  const absl::Time deadline = begin + kPatience;
  // A client that tries again at once; gRPC's own waits between attempts are not the daemon's.
  BERTH_RETURN_IF_ERROR(AwaitListener(server_.address(), deadline));
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetMaxReceiveMessageSize(-1);
  Stubs stubs(grpc::CreateCustomChannel(absl::StrCat("unix://", server_.address()),
                                        grpc::InsecureChannelCredentials(), arguments));
  while (true) {
    BERTH_ASSIGN_OR_RETURN(const int running, CountRunning(stubs));
    if (running == containers_) break;
    if (absl::Now() > deadline) {
      return absl::DeadlineExceededError(absl::StrCat(running, " of ", containers_, " are listed"));
    }
  }
  BERTH_RETURN_IF_ERROR(CheckAnswers(stubs));
  return absl::Now() - begin;
}

absl::Status AdoptingDaemon::Start() {
  BERTH_RETURN_IF_ERROR(Adopt().status()) << program_.label;
  // The channel's first attempt may have failed before there was a daemon.
  BERTH_RETURN_IF_ERROR(server_.Version().status());
  BERTH_RETURN_IF_ERROR(server_.SetUp(program_.busybox));
  is_set_up_ = true;
  return absl::OkStatus();
}

absl::Status AdoptingDaemon::GrowTo(int count) {
  const int from = std::exchange(containers_, std::max(containers_, count));
  BERTH_RETURN_IF_ERROR(server_.Version().status());
  return InParallel(kClients, from, containers_, [this](int number) {
    return server_.StartContainer(IdOf(number), {{"/bin/sleep", "1000000"}}).status();
  });
}

absl::StatusOr<absl::Duration> AdoptingDaemon::Restart() {
  ++restarts_;
  BERTH_RETURN_IF_ERROR(daemon_.Signal(SIGKILL));
  BERTH_RETURN_IF_ERROR(daemon_.Wait(absl::Seconds(30)).status());
  BERTH_ASSIGN_OR_RETURN(const absl::Duration time, Adopt(), _ << program_.label);
  return time;
}

absl::Status AdoptingDaemon::Stop() {
  if (daemon_.pid() <= 0) return absl::OkStatus();
  // All are tried: after a failure some were never started.
  Mutex mutex;
  absl::Status first;
  (void)InParallel(kClients, 0, std::exchange(containers_, 0), [&](int number) {
    const absl::Status status = server_.StopContainer(IdOf(number));
    MutexLock lock(&mutex);
    first.Update(status);
    return absl::IsUnavailable(status) ? status : absl::OkStatus();
  });
  if (std::exchange(is_set_up_, false)) first.Update(server_.TearDown());
  first.Update(daemon_.Signal(SIGTERM));
  first.Update(daemon_.Wait(absl::Seconds(30)).status());
  return first;
}

}  // namespace berth::bench
