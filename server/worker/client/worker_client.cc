#include "server/worker/client/worker_client.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "base/os/fd_factories.h"
#include "base/os/mutex.h"
#include "base/status/status_macros.h"

namespace berth::worker {
namespace {

constexpr int kSocketFd = 3;
constexpr int kStoreFd = 4;
constexpr int kProgressFd = 5;
// A worker that was told to go, or lost its socket, exits at once; this is for one that hangs.
constexpr absl::Duration kExitTimeout = absl::Seconds(5);
constexpr absl::Duration kCancelTimeout = absl::Seconds(30);

// What tells the two kinds of worker apart.
struct Kind {
  const char* argument;
  const char* service;
  const char* purpose;
};
constexpr Kind kUnpack = {"unpack", "berth.worker.v1.Worker", "unpacks and makes layers"};
constexpr Kind kFetch = {"fetch", "berth.worker.v1.Registry", "talks to registries"};

struct Started {
  ChildProcess process;
  UniqueFd socket;
};

// Proxies are the environment's business; a worker without network sees none of it.
std::vector<std::string> EnvironmentOf(const Kind& kind) {
  std::vector<std::string> environment = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"};
  if (&kind != &kFetch) return environment;
  for (const char* name :
       {"http_proxy", "https_proxy", "no_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY",
        "NO_PROXY", "ALL_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR"}) {
    const char* const value = ::getenv(name);
    if (value != nullptr) environment.push_back(absl::StrCat(name, "=", value));
  }
  return environment;
}

absl::StatusOr<Started> StartWorker(const WorkerClient::Options& options, const Kind& kind,
                                    BorrowedFd progress) {
  BERTH_ASSIGN_OR_RETURN(SocketPair pair, MakeSocketPair(SOCK_STREAM | SOCK_NONBLOCK));
  BERTH_ASSIGN_OR_RETURN(const UniqueFd store,
                         OpenFile(options.content_directory, O_RDONLY | O_DIRECTORY));
  SpawnOptions spawn;
  spawn.executable = options.executable;
  spawn.arguments = {"berth-worker", kind.argument};
  spawn.environment = EnvironmentOf(kind);
  spawn.descriptors = {{2, 2},
                       {kSocketFd, pair.second.get()},
                       {kStoreFd, store.get()},
                       {kProgressFd, progress.get()}};
  spawn.working_directory = std::string("/");   // a literal trips g++ 12's -Wrestrict (bug 105651)
  spawn.session = SpawnOptions::Session::kNew;  // a ^C for berthd is not for it
  absl::StatusOr<ChildProcess> process = Spawn(spawn);
  if (!process.ok()) {
    return absl::UnavailableError(absl::StrCat("berth-worker, which ", kind.purpose,
                                               ", cannot be started: ", process.status().message(),
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

// The table and which of its slots are lent. Thread-safe.
class ProgressSlot::Pool {
 public:
  Pool() : table_(ProgressTable::Create()) {
    for (uint32_t slot = kProgressSlots - 1; slot > 0; --slot) free_.push_back(slot);
  }
  const absl::StatusOr<std::unique_ptr<ProgressTable>>& table() const { return table_; }
  // 0: none left.
  uint32_t Take() {
    MutexLock lock(&mutex_);
    if (!table_.ok() || free_.empty()) return 0;
    const uint32_t slot = free_.back();
    free_.pop_back();
    return slot;
  }
  void GiveBack(uint32_t slot) {
    MutexLock lock(&mutex_);
    free_.push_back(slot);
  }

 private:
  const absl::StatusOr<std::unique_ptr<ProgressTable>> table_;
  Mutex mutex_;
  std::vector<uint32_t> free_ ABSL_GUARDED_BY(mutex_);
};

ProgressSlot::~ProgressSlot() { pool_->GiveBack(number_); }
Progress ProgressSlot::Read() const { return (*pool_->table())->Read(number_); }
void ProgressSlot::Advance(uint64_t offset, uint64_t total) const {
  (*pool_->table())->Advance(number_, offset, total);
}
void ProgressSlot::End(ProgressState state) const { (*pool_->table())->End(number_, state); }

// One kind of worker. Loop-only but for construction.
class WorkerClient::Impl : public std::enable_shared_from_this<Impl> {
 public:
  // Gets the serialized answer.
  using RawDone = absl::AnyInvocable<void(absl::StatusOr<std::string>)>;
  struct Job {
    std::string method;
    std::string payload;
    RawDone done;
  };

  Impl(Loop& loop, Executor& executor, Options options, const Kind& kind,
       std::shared_ptr<ProgressSlot::Pool> slots)
      : loop_(loop),
        executor_(executor),
        options_(std::move(options)),
        kind_(kind),
        slots_(std::move(slots)) {}

  void Add(uint64_t id, Job job) {
    if (stopped_) return job.done(absl::UnavailableError("berthd is stopping"));
    if (waiting_.size() >= kMaxWaiting) {
      return job.done(absl::ResourceExhaustedError(
          "too many layers wait to be fetched, unpacked or made; try again in a moment"));
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
    client_->Call(kind_.service, "Cancel", request.SerializeAsString(), {}, kCancelTimeout,
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
      const auto& table = self->slots_->table();
      auto started = std::make_shared<absl::StatusOr<Started>>(
          table.ok() ? StartWorker(self->options_, self->kind_, (*table)->fd()) : table.status());
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
    client_->Call(kind_.service, job.method, std::exchange(job.payload, {}), {},
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
                     " while it worked on this; nothing of it was "
                     "committed; try again, and if it happens again the bytes are at fault")));
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
  const Kind& kind_;
  const std::shared_ptr<ProgressSlot::Pool> slots_;
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
    : loop_(loop),
      slots_(std::make_shared<ProgressSlot::Pool>()),
      unpack_(std::make_shared<Impl>(loop, executor, options, kUnpack, slots_)),
      fetch_(std::make_shared<Impl>(loop, executor, std::move(options), kFetch, slots_)) {}
WorkerClient::~WorkerClient() = default;

std::shared_ptr<ProgressSlot> WorkerClient::LendSlot() {
  const uint32_t number = slots_->Take();
  if (number == 0) return nullptr;
  (*slots_->table())->Begin(number);
  return std::shared_ptr<ProgressSlot>(new ProgressSlot(slots_, number));
}

template <typename Request, typename Response>
uint64_t WorkerClient::Start(const std::shared_ptr<Impl>& impl, const char* method, Request request,
                             Done<Response> done) {
  const uint64_t id = next_job_.fetch_add(1);
  request.set_job(id);
  loop_.Post(
      [impl, id, method, payload = request.SerializeAsString(), done = std::move(done)]() mutable {
        auto parse = [done = std::move(done)](absl::StatusOr<std::string> answer) mutable {
          if (!answer.ok()) return done(answer.status());
          Response response;
          if (!response.ParseFromString(*answer)) {
            return done(absl::InternalError("the worker's answer cannot be parsed"));
          }
          done(std::move(response));
        };
        impl->Add(id, {method, std::move(payload), std::move(parse)});
      });
  return id;
}

template <typename Request, typename Response>
uint64_t WorkerClient::StartWithSlot(const char* method, Request request,
                                     std::shared_ptr<ProgressSlot> slot, Done<Response> done) {
  request.set_slot(slot != nullptr ? slot->number() : 0);
  // However the job ends, also by its worker's death: whoever follows it must hear of it.
  Done<Response> end = [slots = slots_, slot,
                        done = std::move(done)](absl::StatusOr<Response> response) mutable {
    if (slot != nullptr) {
      (*slots->table())
          ->End(slot->number(), response.ok() ? ProgressState::kDone : ProgressState::kFailed);
    }
    done(std::move(response));
  };
  return Start<Request, Response>(fetch_, method, std::move(request), std::move(end));
}

uint64_t WorkerClient::Apply(v1::ApplyRequest request, Done<v1::ApplyResponse> done) {
  return Start(unpack_, "Apply", std::move(request), std::move(done));
}
uint64_t WorkerClient::Diff(v1::DiffRequest request, Done<v1::DiffResponse> done) {
  return Start(unpack_, "Diff", std::move(request), std::move(done));
}
uint64_t WorkerClient::Recompress(v1::RecompressRequest request,
                                  Done<v1::RecompressResponse> done) {
  return Start(unpack_, "Recompress", std::move(request), std::move(done));
}
uint64_t WorkerClient::ReadArchive(v1::ReadArchiveRequest request,
                                   Done<v1::ReadArchiveResponse> done) {
  return Start(unpack_, "ReadArchive", std::move(request), std::move(done));
}
uint64_t WorkerClient::Resolve(v1::ResolveRequest request, Done<v1::ResolveResponse> done) {
  return Start(fetch_, "Resolve", std::move(request), std::move(done));
}
uint64_t WorkerClient::Fetch(v1::FetchRequest request, std::shared_ptr<ProgressSlot> slot,
                             Done<v1::FetchResponse> done) {
  return StartWithSlot("Fetch", std::move(request), std::move(slot), std::move(done));
}
uint64_t WorkerClient::Push(v1::PushRequest request, std::shared_ptr<ProgressSlot> slot,
                            Done<v1::PushResponse> done) {
  return StartWithSlot("Push", std::move(request), std::move(slot), std::move(done));
}
uint64_t WorkerClient::PushManifest(v1::PushManifestRequest request,
                                    Done<v1::PushManifestResponse> done) {
  return Start(fetch_, "PushManifest", std::move(request), std::move(done));
}
uint64_t WorkerClient::Referrers(v1::ReferrersRequest request, Done<v1::ReferrersResponse> done) {
  return Start(fetch_, "Referrers", std::move(request), std::move(done));
}
uint64_t WorkerClient::Tags(v1::TagsRequest request, Done<v1::TagsResponse> done) {
  return Start(fetch_, "Tags", std::move(request), std::move(done));
}
uint64_t WorkerClient::CheckLogin(v1::CheckLoginRequest request,
                                  Done<v1::CheckLoginResponse> done) {
  return Start(fetch_, "CheckLogin", std::move(request), std::move(done));
}

void WorkerClient::Cancel(uint64_t job) {
  loop_.Post([unpack = unpack_, fetch = fetch_, job] {
    unpack->Cancel(job);
    fetch->Cancel(job);
  });
}

void WorkerClient::Stop() {
  if (stopped_.exchange(true)) return;
  for (const std::shared_ptr<Impl>& impl : {unpack_, fetch_}) {
    Notification stopped;
    loop_.Post([impl, &stopped] { impl->Stop([&stopped] { stopped.Notify(); }); });
    stopped.WaitForNotification();
  }
}

}  // namespace berth::worker
