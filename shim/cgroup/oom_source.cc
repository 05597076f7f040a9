#include "shim/cgroup/oom_source.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"
#include "proto/berth/shim/v1/handover.pb.h"
#include "shim/handover/packer.h"
#include "shim/handover/unpacker.h"

namespace berth::cgroup {

absl::StatusOr<OomSource> OomSource::Open(const Cgroup& group) {
  OomSource source;
  if (const Directory* memory = group.FindController("memory")) {
    BERTH_ASSIGN_OR_RETURN(source.counters_, OpenAt(memory->fd, "memory.oom_control", O_RDONLY));
    source.events_.Reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!source.events_.valid()) return ErrnoStatus(errno, "eventfd");
    BERTH_RETURN_IF_ERROR(
        WriteControlFileAt(memory->fd, "cgroup.event_control",
                           absl::StrCat(source.events_.get(), " ", source.counters_.get())));
  } else if (group.unified().valid()) {
    BERTH_ASSIGN_OR_RETURN(source.counters_, OpenAt(group.unified(), "memory.events", O_RDONLY));
    source.events_.Reset(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
    if (!source.events_.valid()) return ErrnoStatus(errno, "inotify_init1");
    const std::string path = absl::StrCat("/proc/self/fd/", source.counters_.get());
    if (::inotify_add_watch(source.events_.get(), path.c_str(), IN_MODIFY) < 0) {
      return ErrnoStatus(errno, "watch", "memory.events");
    }
  } else {
    return absl::UnimplementedError("no memory controller to watch for OOM kills");
  }
  source.seen_ = source.Count();
  return source;
}

void OomSource::Save(handover::Packer& packer, berth::shim::v1::OomState& state) const {
  state.set_events(packer.Pack(events_));
  state.set_counters(packer.Pack(counters_));
  state.set_seen(seen_);
}

absl::StatusOr<OomSource> OomSource::Resume(const berth::shim::v1::OomState& state,
                                            handover::Unpacker& unpacker) {
  OomSource source;
  BERTH_ASSIGN_OR_RETURN(source.events_,
                         unpacker.Take(state.events(), handover::Kind::kAny, "news of OOM kills"));
  BERTH_ASSIGN_OR_RETURN(source.counters_, unpacker.Take(state.counters(), handover::Kind::kFile,
                                                         "the count of OOM kills"));
  source.seen_ = state.seen();
  return source;
}

uint64_t OomSource::Count() const {
  char text[512];
  const ssize_t size = ::pread(counters_.get(), text, sizeof(text), 0);
  if (size <= 0) return seen_;  // the group is gone
  for (absl::string_view line :
       absl::StrSplit(absl::string_view(text, static_cast<size_t>(size)), '\n')) {
    uint64_t count = 0;
    if (absl::ConsumePrefix(&line, "oom_kill ") && absl::SimpleAtoi(line, &count)) return count;
  }
  return seen_;
}

uint64_t OomSource::TakeKills() {
  char drain[4096];
  while (::read(events_.get(), drain, sizeof(drain)) > 0) {
  }
  const uint64_t now = Count();
  const uint64_t kills = now > seen_ ? now - seen_ : 0;
  seen_ = now;
  return kills;
}

}  // namespace berth::cgroup
