#include "server/worker/client/worker_client.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "base/os/fd_factories.h"
#include "base/status/status_macros.h"

namespace berth::worker {
namespace {

constexpr char kServiceName[] = "berth.worker.v1.Worker";
constexpr int kSocketFd = 3;
constexpr int kStoreFd = 4;
// A worker that was told to go, or lost its socket, exits at once; this is for one that hangs.
constexpr absl::Duration kExitTimeout = absl::Seconds(5);
constexpr absl::Duration kCancelTimeout = absl::Seconds(30);

struct Started {
  ChildProcess process;
  UniqueFd socket;
};

absl::StatusOr<Started> StartWorker(const WorkerClient::Options& options) {
  BERTH_ASSIGN_OR_RETURN(SocketPair pair, MakeSocketPair(SOCK_STREAM | SOCK_NONBLOCK));
  BERTH_ASSIGN_OR_RETURN(const UniqueFd store,
                         OpenFile(options.content_directory, O_RDONLY | O_DIRECTORY));
  SpawnOptions spawn;
  spawn.executable = options.executable;
  spawn.arguments = {"berth-worker"};
  spawn.environment = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"};
  spawn.descriptors = {{2, 2}, {kSocketFd, pair.second.get()}, {kStoreFd, store.get()}};
  spawn.working_directory = std::string("/");   // a literal trips g++ 12's -Wrestrict (bug 105651)
  spawn.session = SpawnOptions::Session::kNew;  // a ^C for berthd is not for it
  absl::StatusOr<ChildProcess> process = Spawn(spawn);
  if (!process.ok()) {
    return absl::UnavailableError(
        absl::StrCat("berth-worker, which unpacks and makes layers, cannot be started: ",
                     process.status().message(),
                     "; install it beside berthd, or set "
                     "runtime.worker in the configuration"));
  }
  return Started{*std::move(process), std::move(pair.first)};
}

std::string DescribeEnd(const absl::StatusOr<ExitState>& state) {
  if (!state.ok()) return "did not end and was killed";
  if (state->signal != 0) return absl::StrCat("was ended by signal ", state->signal);
  return absl::StrCat("ended with status ", state->code);
}

}  // namespace

// Loop-only but for construction.
class WorkerClient::Impl : public std::enable_shared_from_this<Impl> {
 public:
  // Gets the serialized answer.
  using RawDone = absl::AnyInvocable<void(absl::StatusOr<std::string>)>;
  struct Job {
    std::string method;
    std::string payload;
    RawDone done;
  };

  Impl(Loop& loop, Executor& executor, Options options)
      : loop_(loop), executor_(executor), options_(std::move(options)) {}

  void Add(uint64_t id, Job job) {
    if (stopped_) return job.done(absl::UnavailableError("berthd is stopping"));
    if (waiting_.size() >= kMaxWaiting) {
      return job.done(absl::ResourceExhaustedError(
          "too many layers wait to be unpacked or made; try again in a moment"));
    }
    waiting_.push_back(id);
    jobs_.emplace(id, std::move(job));
    Advance();
  }

  void Cancel(uint64_t id) {
    for (auto it = waiting_.begin(); it != waiting_.end(); ++it) {
      if (*it != id) continue;
      waiting_.erase(it);
      return Finish(id, absl::CancelledError("cancelled before it began"));
    }
    if (!jobs_.contains(id) || client_ == nullptr) return;
    v1::CancelRequest request;
    request.set_job(id);
    client_->Call(kServiceName, "Cancel", request.SerializeAsString(), {}, kCancelTimeout,
                  [](absl::StatusOr<std::string>) {});  // the job's own end is the answer
  }

  // `stopped` runs when no process is left.
  void Stop(absl::AnyInvocable<void()> stopped) {
    stopped_ = true;
    on_stopped_ = std::move(stopped);
    FailAll(absl::UnavailableError("berthd is stopping"));
    if (state_ == State::kRunning) LetGo();
    if (state_ == State::kNone) TellStopped();
  }

 private:
  enum class State { kNone, kStarting, kRunning, kEnding };

  void Advance() {
    if (state_ == State::kNone && !waiting_.empty()) Start();
    while (state_ == State::kRunning && running_ < kMaxRunning && !waiting_.empty()) {
      const uint64_t id = waiting_.front();
      waiting_.pop_front();
      Send(id);
    }
    if (state_ == State::kRunning && running_ == 0 && waiting_.empty()) {
      idle_timer_ = loop_.After(options_.idle, [self = shared_from_this()] {
        self->idle_timer_ = TimerId::kNone;
        if (self->state_ == State::kRunning && self->running_ == 0) self->LetGo();
      });
    }
  }

  void Start() {
    state_ = State::kStarting;
    auto self = shared_from_this();
    const bool posted = executor_.Post([self] {
      auto started = std::make_shared<absl::StatusOr<Started>>(StartWorker(self->options_));
      self->loop_.Post([self, started] { self->OnStarted(std::move(*started)); });
    });
    if (!posted) OnStarted(absl::ResourceExhaustedError("the server is too busy; try again"));
  }

  void OnStarted(absl::StatusOr<Started> started) {
    if (!started.ok()) {
      state_ = State::kNone;
      FailAll(started.status());
      if (stopped_) TellStopped();
      return;
    }
    process_ = std::make_shared<ChildProcess>(std::move(started->process));
    state_ = State::kRunning;
    client_ = std::make_unique<ttrpc::Client>(
        loop_, std::move(started->socket),
        [self = shared_from_this()](const absl::Status&) { self->OnLost(); });
    if (stopped_) return LetGo();
    Advance();
  }

  void Send(uint64_t id) {
    loop_.Cancel(std::exchange(idle_timer_, TimerId::kNone));
    Job& job = jobs_.at(id);
    ++running_;
    client_->Call(kServiceName, job.method, std::exchange(job.payload, {}), {},
                  absl::InfiniteDuration(),
                  [self = shared_from_this(), id](absl::StatusOr<std::string> answer) {
                    self->OnAnswer(id, std::move(answer));
                  });
  }

  void OnAnswer(uint64_t id, absl::StatusOr<std::string> answer) {
    --running_;
    // A lost connection is explained once it is known how the worker ended: see OnEnded.
    if (absl::IsUnavailable(answer.status()) && !client_->connected()) return;
    Finish(id, std::move(answer));
    Advance();
  }

  void Finish(uint64_t id, absl::StatusOr<std::string> answer) {
    auto job = jobs_.extract(id);
    if (!job.empty()) job.mapped().done(std::move(answer));
  }

  void FailAll(const absl::Status& status) {
    waiting_.clear();
    auto jobs = std::exchange(jobs_, {});
    for (auto& [id, job] : jobs) job.done(status);
  }

  // The worker's end of the socket was closed, which only its death does.
  void OnLost() {
    if (state_ == State::kRunning) Reap();
  }

  // Nothing to do: closing the socket ends the worker.
  void LetGo() {
    client_->Close();
    Reap();
  }

  void Reap() {
    state_ = State::kEnding;
    loop_.Cancel(std::exchange(idle_timer_, TimerId::kNone));
    auto self = shared_from_this();
    executor_.PostContinuation([self, process = std::move(process_)] {
      const absl::StatusOr<ExitState> state = process->Wait(kExitTimeout);
      const std::string end = DescribeEnd(state);
      // Kills it if it is still there.
      *process = ChildProcess();
      self->loop_.Post([self, end] { self->OnEnded(end); });
    });
  }

  void OnEnded(const std::string& end) {
    // Jobs that still wait go to the next worker; the others went down with this one.
    client_.reset();
    state_ = State::kNone;
    std::vector<uint64_t> lost;
    for (const auto& [id, job] : jobs_) {
      if (job.payload.empty()) lost.push_back(id);
    }
    running_ = 0;
    for (uint64_t id : lost) {
      Finish(id, absl::UnavailableError(absl::StrCat(
                     "berth-worker ", end,
                     " while it worked on this layer; nothing of it was "
                     "committed; try again, and if it happens again the layer is at fault")));
    }
    if (stopped_) return TellStopped();
    Advance();
  }

  void TellStopped() {
    if (auto stopped = std::exchange(on_stopped_, nullptr)) stopped();
  }

  Loop& loop_;
  Executor& executor_;
  const Options options_;
  State state_ = State::kNone;
  bool stopped_ = false;
  absl::AnyInvocable<void()> on_stopped_;
  std::shared_ptr<ChildProcess> process_;
  std::unique_ptr<ttrpc::Client> client_;
  TimerId idle_timer_ = TimerId::kNone;
  absl::flat_hash_map<uint64_t, Job> jobs_;  // a sent job's payload is empty
  std::deque<uint64_t> waiting_;
  size_t running_ = 0;
};

WorkerClient::WorkerClient(Loop& loop, Executor& executor, Options options)
    : loop_(loop), impl_(std::make_shared<Impl>(loop, executor, std::move(options))) {}
WorkerClient::~WorkerClient() = default;

namespace {

template <typename Response>
auto ParseInto(WorkerClient::Done<Response> done) {
  return [done = std::move(done)](absl::StatusOr<std::string> answer) mutable {
    if (!answer.ok()) return done(answer.status());
    Response response;
    if (!response.ParseFromString(*answer)) {
      return done(absl::InternalError("the worker's answer cannot be parsed"));
    }
    done(std::move(response));
  };
}

}  // namespace

uint64_t WorkerClient::Apply(v1::ApplyRequest request, Done<v1::ApplyResponse> done) {
  const uint64_t id = next_job_.fetch_add(1);
  request.set_job(id);
  loop_.Post(
      [impl = impl_, id, payload = request.SerializeAsString(), done = std::move(done)]() mutable {
        impl->Add(id, {"Apply", std::move(payload), ParseInto<v1::ApplyResponse>(std::move(done))});
      });
  return id;
}

uint64_t WorkerClient::Diff(v1::DiffRequest request, Done<v1::DiffResponse> done) {
  const uint64_t id = next_job_.fetch_add(1);
  request.set_job(id);
  loop_.Post(
      [impl = impl_, id, payload = request.SerializeAsString(), done = std::move(done)]() mutable {
        impl->Add(id, {"Diff", std::move(payload), ParseInto<v1::DiffResponse>(std::move(done))});
      });
  return id;
}

void WorkerClient::Cancel(uint64_t job) {
  loop_.Post([impl = impl_, job] { impl->Cancel(job); });
}

void WorkerClient::Stop() {
  if (stopped_.exchange(true)) return;
  absl::Notification stopped;
  loop_.Post([impl = impl_, &stopped] { impl->Stop([&stopped] { stopped.Notify(); }); });
  stopped.WaitForNotification();
}

}  // namespace berth::worker
