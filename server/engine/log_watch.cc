#include "server/engine/log_watch.h"

#include <errno.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <utility>
#include <vector>

#include "base/status/errno_status.h"
#include "base/status/status_macros.h"

namespace berth::engine {
namespace {

constexpr absl::Duration kInterval = absl::Milliseconds(250);
constexpr uint32_t kEvents = IN_MODIFY | IN_CREATE | IN_MOVED_TO | IN_ONLYDIR;
constexpr size_t kBufferBytes = 64 << 10;

}  // namespace

LogWatch::Ticket LogWatch::Add(std::string directory, Changed changed) {
  const Ticket ticket{last_.fetch_add(1) + 1};
  loop_.Post(
      [this, ticket, directory = std::move(directory), changed = std::move(changed)]() mutable {
        Register(ticket, directory, std::move(changed));
      });
  return ticket;
}

void LogWatch::Remove(Ticket ticket) {
  if (ticket == Ticket::kNone) return;
  loop_.Post([this, ticket] { Forget(ticket); });
}

absl::Status LogWatch::Open() {
  if (inotify_.valid()) return absl::OkStatus();
  UniqueFd inotify(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (!inotify.valid()) return ErrnoStatus(errno, "inotify_init1");
  BERTH_ASSIGN_OR_RETURN(events_, loop_.Watch(inotify, EPOLLIN, [this](uint32_t) { OnEvents(); }));
  inotify_ = std::move(inotify);
  return absl::OkStatus();
}

void LogWatch::Register(Ticket ticket, const std::string& directory, Changed changed) {
  Follower& follower = followers_[ticket];
  follower.changed = std::move(changed);
  if (Open().ok()) {
    // The same directory has the same number, however many follow it.
    follower.watch = ::inotify_add_watch(inotify_.get(), directory.c_str(), kEvents);
  }
  if (follower.watch >= 0) {
    of_watch_[follower.watch].insert(ticket);
    Tell(ticket);
  } else {
    TellLater(ticket);
  }
}

void LogWatch::Forget(Ticket ticket) {
  const auto found = followers_.find(ticket);
  if (found == followers_.end()) return;
  const int watch = found->second.watch;
  followers_.erase(found);
  const auto others = of_watch_.find(watch);
  if (others == of_watch_.end()) return;
  others->second.erase(ticket);
  if (!others->second.empty()) return;
  of_watch_.erase(others);
  // Fails for a directory that is gone, whose watch went with it.
  ::inotify_rm_watch(inotify_.get(), watch);
}

void LogWatch::OnEvents() {
  alignas(inotify_event) char buffer[kBufferBytes];
  const ssize_t size = ::read(inotify_.get(), buffer, sizeof(buffer));
  absl::flat_hash_set<Ticket> told;
  for (ssize_t at = 0; at < size;) {
    const auto& event = *reinterpret_cast<const inotify_event*>(buffer + at);
    at += static_cast<ssize_t>(sizeof(event) + event.len);
    if ((event.mask & IN_Q_OVERFLOW) != 0) {
      for (const auto& [ticket, follower] : followers_) told.insert(ticket);
    }
    const auto found = of_watch_.find(event.wd);
    if (found != of_watch_.end()) told.insert(found->second.begin(), found->second.end());
  }
  for (const Ticket ticket : told) Tell(ticket);
}

void LogWatch::Tell(Ticket ticket) {
  const auto found = followers_.find(ticket);
  if (found == followers_.end()) return;
  const Changed changed = found->second.changed;
  changed();
}

void LogWatch::TellLater(Ticket ticket) {
  if (!followers_.contains(ticket)) return;
  Tell(ticket);
  loop_.After(kInterval, [this, ticket] { TellLater(ticket); });
}

}  // namespace berth::engine
