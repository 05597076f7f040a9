#include "base/loop/loop.h"

#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "absl/strings/str_cat.h"
#include "base/status/check.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"

namespace berth {
namespace {

constexpr int kEventsPerRound = 64;
constexpr uint64_t kWakeId = 0;

int64_t MonotonicNanoseconds() {
  struct timespec now;
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t{now.tv_sec} * 1000000000 + now.tv_nsec;
}

}  // namespace

FdWatch::FdWatch(FdWatch&& other) noexcept
    : loop_(std::exchange(other.loop_, nullptr)), id_(other.id_) {}

FdWatch& FdWatch::operator=(FdWatch&& other) noexcept {
  if (this != &other) {
    Reset();
    loop_ = std::exchange(other.loop_, nullptr);
    id_ = other.id_;
  }
  return *this;
}

void FdWatch::Reset() {
  if (Loop* loop = std::exchange(loop_, nullptr); loop != nullptr) loop->Remove(id_);
}

absl::Status FdWatch::SetEvents(uint32_t epoll_events) {
  BERTH_CHECK(loop_ != nullptr);
  return loop_->SetEvents(id_, epoll_events);
}

absl::StatusOr<std::unique_ptr<Loop>> Loop::Create() {
  UniqueFd epoll(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll.valid()) return ErrnoStatus(errno, "epoll_create1");
  UniqueFd wake(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake.valid()) return ErrnoStatus(errno, "eventfd");
  struct epoll_event event = {};
  event.events = EPOLLIN;
  event.data.u64 = kWakeId;
  if (::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, wake.get(), &event) != 0) {
    return ErrnoStatus(errno, "epoll_ctl", "eventfd");
  }
  return std::unique_ptr<Loop>(new Loop(std::move(epoll), std::move(wake)));
}

Loop::~Loop() {
  // Functions may own watches or cancel timers: destroy them while the rest of the loop is whole.
  std::vector<Function> posted;
  {
    MutexLock lock(&mutex_);
    posted.swap(posted_);
  }
  posted.clear();
  std::map<TimerKey, Function> timers;
  timers.swap(timers_);
  timer_due_ns_.clear();
}

absl::StatusOr<FdWatch> Loop::Watch(BorrowedFd fd, uint32_t epoll_events, EventHandler handler) {
  const uint64_t id = next_id_++;
  auto entry = std::make_unique<Entry>();
  entry->fd = fd.get();
  entry->handler = std::move(handler);
  entries_.emplace(id, std::move(entry));
  FdWatch watch(this, id);
  BERTH_RETURN_IF_ERROR(SetEvents(id, epoll_events));
  return watch;
}

absl::Status Loop::SetEvents(uint64_t id, uint32_t epoll_events) {
  Entry& entry = *entries_.at(id);
  if (entry.events == epoll_events) return absl::OkStatus();
  struct epoll_event event = {};
  event.events = epoll_events;
  event.data.u64 = id;
  const int operation = epoll_events == 0   ? EPOLL_CTL_DEL
                        : entry.events == 0 ? EPOLL_CTL_ADD
                                            : EPOLL_CTL_MOD;
  if (::epoll_ctl(epoll_.get(), operation, entry.fd, &event) != 0) {
    return ErrnoStatus(errno, "epoll_ctl", absl::StrCat("fd ", entry.fd));
  }
  entry.events = epoll_events;
  return absl::OkStatus();
}

void Loop::Remove(uint64_t id) {
  const auto found = entries_.find(id);
  if (found == entries_.end()) return;
  if (found->second->events != 0) {
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, found->second->fd, nullptr);
  }
  removed_.push_back(std::move(found->second));
  entries_.erase(found);
}

TimerId Loop::After(absl::Duration delay, Function function) {
  const uint64_t id = next_id_++;
  if (delay == absl::InfiniteDuration()) return TimerId{id};
  const int64_t due_ns =
      MonotonicNanoseconds() +
      absl::ToInt64Nanoseconds(std::clamp(delay, absl::ZeroDuration(), absl::Hours(24 * 365)));
  timers_.emplace(TimerKey{due_ns, id}, std::move(function));
  timer_due_ns_.emplace(id, due_ns);
  return TimerId{id};
}

void Loop::Cancel(TimerId timer) {
  const auto found = timer_due_ns_.find(static_cast<uint64_t>(timer));
  if (found == timer_due_ns_.end()) return;
  const auto node = timers_.extract(TimerKey{found->second, found->first});
  timer_due_ns_.erase(found);
  // `node` and its function go last: its destructor may come back here.
}

absl::Duration Loop::Remaining(TimerId timer) const {
  const auto found = timer_due_ns_.find(static_cast<uint64_t>(timer));
  if (found == timer_due_ns_.end()) return absl::InfiniteDuration();
  return absl::Nanoseconds(std::max<int64_t>(0, found->second - MonotonicNanoseconds()));
}

Loop::Contents Loop::contents() {
  MutexLock lock(&mutex_);
  return {.watches = entries_.size(), .timers = timers_.size(), .posted = posted_.size()};
}

void Loop::Post(Function function) {
  {
    MutexLock lock(&mutex_);
    posted_.push_back(std::move(function));
    if (posted_.size() > 1) return;  // the first one has woken the loop
  }
  const uint64_t one = 1;
  (void)!::write(wake_.get(), &one, sizeof(one));  // EAGAIN: the counter is full, so it is awake
}

void Loop::Stop() {
  {
    MutexLock lock(&mutex_);
    stopping_ = true;
  }
  const uint64_t one = 1;
  (void)!::write(wake_.get(), &one, sizeof(one));
}

void Loop::RunPosted() {
  std::vector<Function> functions;
  {
    MutexLock lock(&mutex_);
    functions.swap(posted_);
  }
  for (Function& function : functions) {
    function();
    function = nullptr;  // what it captured goes before the next one runs
  }
}

void Loop::RunTimers() {
  if (timers_.empty()) return;
  // Timers that the functions add with no delay wait for the next round, so that descriptors get
  // their turn.
  const int64_t now_ns = MonotonicNanoseconds();
  const uint64_t first_new_id = next_id_;
  while (!timers_.empty()) {
    const auto first = timers_.begin();
    if (first->first.first > now_ns || first->first.second >= first_new_id) return;
    auto node = timers_.extract(first);
    timer_due_ns_.erase(node.key().second);
    node.mapped()();
  }
}

int64_t Loop::NanosecondsToWait(absl::Duration limit) {
  int64_t wait_ns = absl::ToInt64Nanoseconds(std::max(limit, absl::ZeroDuration()));
  if (!timers_.empty()) {
    wait_ns = std::min(wait_ns,
                       std::max<int64_t>(0, timers_.begin()->first.first - MonotonicNanoseconds()));
  }
  return wait_ns;
}

absl::Status Loop::RunOnce(absl::Duration limit) {
  struct epoll_event events[kEventsPerRound];
  const int64_t wait_ns = NanosecondsToWait(limit);
  const struct timespec timeout = {wait_ns / 1000000000, wait_ns % 1000000000};
  const int count = ::epoll_pwait2(epoll_.get(), events, kEventsPerRound, &timeout, nullptr);
  if (count < 0 && errno != EINTR) return ErrnoStatus(errno, "epoll_pwait2");
  RunTimers();
  for (int i = 0; i < count; ++i) {
    if (events[i].data.u64 == kWakeId) {
      uint64_t ignored;
      (void)!::read(wake_.get(), &ignored, sizeof(ignored));
      RunPosted();
      continue;
    }
    // Gone when an earlier handler of this round destroyed the watch.
    const auto found = entries_.find(events[i].data.u64);
    if (found == entries_.end() || found->second->events == 0) continue;
    found->second->handler(events[i].events);  // the entry does not move: it is held by pointer
  }
  // Destroying a handler may destroy watches that it owned, which adds to the list.
  while (!removed_.empty()) {
    std::vector<std::unique_ptr<Entry>> removed;
    removed.swap(removed_);
  }
  return absl::OkStatus();
}

absl::Status Loop::Run() {
  while (true) {
    {
      MutexLock lock(&mutex_);
      if (std::exchange(stopping_, false)) return absl::OkStatus();
    }
    BERTH_RETURN_IF_ERROR(RunOnce(absl::Hours(1)));
  }
}

}  // namespace berth
