#include "server/task/testing/task_fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/journal/journal.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "base/status/check.h"
#include "proto/containerd/events/task.pb.h"

namespace berth {
namespace {

namespace api = containerd::services::tasks::v1;
constexpr char kFakeShim[] = "server/task/testing/fake_shim";

}  // namespace

TaskFixture::TaskFixture() {
  char name[] = "/tmp/berth-task-test-XXXXXX";
  directory_ = ::mkdtemp(name);
  for (const char* sub : {"/state", "/root"}) {
    BERTH_CHECK(EnsureDirectory(absl::StrCat(directory_, sub), 0711).ok());
  }
  auto binary = ShimBinary::Load(kFakeShim);
  BERTH_CHECK(binary.ok());
  binary_ = *std::move(binary);
  ShimLauncher::Options launcher;
  launcher.state = absl::StrCat(directory_, "/state");
  launcher.address = absl::StrCat(directory_, "/berth.sock");
  launcher.ttrpc_address = absl::StrCat(directory_, "/berth.sock.ttrpc");
  launcher.search_path = "/usr/bin:/bin";
  launcher_.emplace(launcher, *binary_);
  options_.state = launcher.state;
  options_.root = absl::StrCat(directory_, "/root");
  options_.creator.search_path = "/usr/bin:/bin";
  options_.creator.cancel_grace = absl::Milliseconds(300);
  options_.supervisor.shutdown_timeout = absl::Milliseconds(500);
  options_.supervisor.reconciler.first_retry = absl::Milliseconds(10);
  options_.supervisor.reconciler.last_retry = absl::Milliseconds(50);
  options_.state_timeout = absl::Milliseconds(300);
  auto subscription = exchange_.Subscribe({}, [] {});
  BERTH_CHECK(subscription.ok());
  subscription_ = *std::move(subscription);
  StartDaemon();
}

TaskFixture::~TaskFixture() {
  EndDaemon();
  const BundleStore bundles(options_.state, options_.root);
  if (const auto keys = bundles.List(); keys.ok()) {
    for (const TaskKey& key : *keys) {
      const auto journal = journal::ReadJournal(bundles.PathOf(key));
      if (!journal.ok()) continue;
      const auto shim = OpenPidFd(journal->header.shim);
      if (shim.ok()) ::kill(journal->header.shim.pid, SIGKILL);
    }
  }
  EXPECT_TRUE(RemoveTreeAt(BorrowedFd(AT_FDCWD), directory_).ok());
}

void TaskFixture::StartDaemon() {
  loop_ = *LoopThread::Create();
  executor_ = std::make_unique<Executor>(4, 256);
  const auto find = [this](const std::string& ns, const std::string& id)
      -> absl::StatusOr<containerd::services::containers::v1::Container> {
    MutexLock lock(&mutex_);
    const auto found = containers_.find(id);
    if (found == containers_.end() || ns != "default") {
      return absl::NotFoundError(absl::StrCat("container \"", id, "\" not found"));
    }
    return found->second;
  };
  manager_ = std::make_unique<TaskManager>(loop_->loop(), *executor_, find, *launcher_, exchange_,
                                           log_, options_);
  ASSERT_TRUE(manager_->Adopt().ok());
  loop_->Start();
}

void TaskFixture::EndDaemon() {
  if (manager_ == nullptr) return;
  manager_->Stop();
  executor_->Stop();
  loop_->Stop();
  manager_.reset();
  executor_.reset();
  loop_.reset();
}

void TaskFixture::AddContainer(const std::string& id, const std::string& behaviour) {
  containerd::services::containers::v1::Container container;
  container.set_id(id);
  container.mutable_runtime()->set_name("io.containerd.runc.v2");
  container.mutable_spec()->set_value(absl::StrCat("{\"behaviour\":\"", behaviour, "\"}"));
  MutexLock lock(&mutex_);
  containers_[id] = container;
}

absl::Status TaskFixture::Create(const std::string& id) {
  api::CreateTaskRequest request;
  request.set_container_id(id);
  return Call(&TaskManager::Create, request).status();
}
absl::Status TaskFixture::Start(const std::string& id) {
  api::StartRequest request;
  request.set_container_id(id);
  return Call(&TaskManager::Start, request).status();
}
absl::Status TaskFixture::Kill(const std::string& id, uint32_t signal) {
  api::KillRequest request;
  request.set_container_id(id);
  request.set_signal(signal);
  return Call(&TaskManager::Kill, request).status();
}
absl::StatusOr<api::DeleteResponse> TaskFixture::Delete(const std::string& id) {
  api::DeleteTaskRequest request;
  request.set_container_id(id);
  return Call(&TaskManager::Delete, request);
}
absl::StatusOr<containerd::v1::types::Process> TaskFixture::Get(const std::string& id) {
  api::GetRequest request;
  request.set_container_id(id);
  const auto response = Call(&TaskManager::Get, request);
  if (!response.ok()) return response.status();
  return response->process();
}
Pending<api::WaitResponse> TaskFixture::BeginWait(const std::string& id,
                                                  const std::string& exec_id) {
  api::WaitRequest request;
  request.set_container_id(id);
  request.set_exec_id(exec_id);
  Pending<api::WaitResponse> pending;
  (void)manager_->Wait({"default", absl::InfiniteFuture()}, request, pending.Done());
  return pending;
}

std::string TaskFixture::BundleOf(const std::string& id) const {
  return absl::StrCat(options_.state, "/io.containerd.runtime.v2.task/default/", id);
}
bool TaskFixture::BundleExists(const std::string& id) const {
  return ::access(BundleOf(id).c_str(), F_OK) == 0;
}
pid_t TaskFixture::ShimPid(const std::string& id) const {
  const auto journal = journal::ReadJournal(BundleOf(id));
  return journal.ok() ? journal->header.shim.pid : -1;
}
bool TaskFixture::WaitForRemoval(const std::string& id) const {
  const absl::Time deadline = absl::Now() + kPatience;
  while (BundleExists(id)) {
    if (absl::Now() > deadline) return false;
    absl::SleepFor(absl::Milliseconds(5));  // tidy: allow(sleep) polls, bounded
  }
  return true;
}

std::vector<std::string> TaskFixture::Events() {
  while (true) {
    const auto next = subscription_->Next();
    if (!next.ok() || *next == nullptr) return events_;
    const EventEnvelope& envelope = **next;
    if (envelope.topic() == "/tasks/exit") {
      containerd::events::TaskExit event;
      EXPECT_TRUE(event.ParseFromString(envelope.event().value()));
      events_.push_back(absl::StrCat("exit ", event.id(), " ", event.exit_status()));
    } else if (envelope.topic() == "/tasks/delete") {
      containerd::events::TaskDelete event;
      EXPECT_TRUE(event.ParseFromString(envelope.event().value()));
      events_.push_back(absl::StrCat("delete ", event.container_id(), " ", event.exit_status()));
    } else {
      events_.push_back(envelope.topic());
    }
  }
}

}  // namespace berth
