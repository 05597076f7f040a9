#include "shim/service/upgrade.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"
#include "proto/berth/shim/v1/handover.pb.h"
#include "shim/handover/envelope.h"
#include "shim/handover/packer.h"
#include "shim/launch/clone.h"
#include "shim/security/self_image.h"
#include "shim/service/version.h"

extern char** environ;

namespace berth::service {
namespace {

namespace v1 = berth::shim::v1;

constexpr absl::Duration kRestPoll = absl::Milliseconds(2);
constexpr absl::Duration kDefaultCheckTimeout = absl::Seconds(10);
constexpr absl::Duration kLongestCheckTimeout = absl::Minutes(5);
constexpr size_t kReportBytes = 4096;
constexpr int kFirstOfOurs = 3;
constexpr int kCannotExecute = 126;

// What the program says when it would take the state; its version follows.
constexpr absl::string_view kYes = "ok ";

std::vector<char*> Pointers(std::vector<std::string>& words) {
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  return pointers;
}

absl::StatusOr<UniqueFd> SealedMemory(absl::string_view bytes) {
  UniqueFd file(::memfd_create("berth-shim-state", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!file.valid()) return ErrnoStatus(errno, "memfd_create");
  BERTH_RETURN_IF_ERROR(WriteAll(file, bytes));
  if (::fcntl(file.get(), F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW) != 0) {
    return ErrnoStatus(errno, "fcntl(F_ADD_SEALS)");
  }
  return file;
}

}  // namespace

Upgrade::~Upgrade() {
  parts_.loop.Cancel(timer_);
  if (look_.has_value()) KillLook(*look_);
}

void Upgrade::Register(ttrpc::Server& server) {
  server.Register("berth.shim.v1.Supervisor", "Upgrade",
                  [this](ttrpc::Call call) { Begin(std::move(call)); });
}

void Upgrade::Begin(ttrpc::Call call) {
  v1::UpgradeRequest request;
  if (!request.ParseFromString(call.payload()) || request.program().empty()) {
    return call.Reply(absl::InvalidArgumentError("which program? an upgrade has to name one"));
  }
  if (call_.has_value()) {
    return call.Reply(absl::UnavailableError("another upgrade of this shim is under way"));
  }
  auto program = security::OpenProtected(request.program());
  if (!program.ok()) return call.Reply(Annotate(program.status(), "the new program"));
  program_ = *std::move(program);
  check_timeout_ = absl::Seconds(request.check_timeout().seconds()) +
                   absl::Nanoseconds(request.check_timeout().nanos());
  if (check_timeout_ <= absl::ZeroDuration()) check_timeout_ = kDefaultCheckTimeout;
  check_timeout_ = std::min(check_timeout_, kLongestCheckTimeout);
  check_only_ = request.check_only();
  call_.emplace(std::move(call));
  AwaitRest([this](Packed packed) { FirstLook(std::move(packed)); });
}

void Upgrade::Reply(absl::StatusOr<std::string> payload) {
  parts_.loop.Cancel(timer_);
  program_.Reset();
  parts_.server.SetReading(ttrpc::Connection::Reading::kYes);
  ttrpc::Call call = *std::move(call_);
  call_.reset();
  call.Reply(std::move(payload));
}

// --- At rest
// ----------------------------------------------------------------------------------------

void Upgrade::AwaitRest(absl::AnyInvocable<void(Packed)> then) {
  // Nobody begins anything now; what clients say waits in their sockets.
  parts_.server.SetReading(ttrpc::Connection::Reading::kNo);
  TryPack(absl::Now() + kRestLimit, std::move(then));
}

void Upgrade::TryPack(absl::Time deadline, absl::AnyInvocable<void(Packed)> then) {
  timer_ = parts_.loop.After(kRestPoll, [this, deadline, then = std::move(then)]() mutable {
    auto packed = Pack();
    if (packed.ok()) return then(*std::move(packed));
    if (absl::IsUnavailable(packed.status()) && absl::Now() < deadline) {
      return TryPack(deadline, std::move(then));
    }
    Reply(absl::IsUnavailable(packed.status())
              ? Annotate(packed.status(),
                         "the shim cannot be upgraded now, try again; nothing has changed")
              : packed.status());
  });
}

absl::StatusOr<Upgrade::Packed> Upgrade::Pack() {
  handover::Packer packer(parts_.loop);
  v1::ShimState state;
  state.set_program_version(kVersion);
  state.set_namespace_(parts_.context.namespace_name);
  state.set_id(parts_.id);
  state.set_daemon_address(parts_.daemon_address);
  state.set_seccomp_cache_directory(parts_.context.seccomp_cache_directory);
  BERTH_RETURN_IF_ERROR(parts_.tasks.Save(packer, state));
  BERTH_RETURN_IF_ERROR(parts_.events.Save(packer, state));
  BERTH_ASSIGN_OR_RETURN(const auto peers, parts_.server.Save(*call_));
  for (const ttrpc::Server::SavedPeer& peer : peers) {
    v1::PeerState& saved = *state.add_peers();
    saved.set_socket(packer.Pack(peer.socket));
    saved.set_partial_input(peer.connection.partial_input);
    saved.set_input_bytes_to_discard(peer.connection.input_bytes_to_discard);
    saved.set_output(peer.connection.output);
    saved.set_upgrade_stream(peer.own_stream_id);
    for (const ttrpc::Server::SavedCall& call : peer.calls) {
      auto& added = *saved.add_calls();
      added.set_stream(call.stream_id);
      added.set_method(call.method);
      added.set_payload(call.payload);
    }
  }
  parts_.server.ForEachWatch([&](const FdWatch& watch) { packer.Count(watch); });
  const std::vector<BorrowedFd> listeners = parts_.server.listeners();
  if (listeners.size() != 1) return absl::InternalError("a shim listens on one socket");
  state.set_listener(packer.Pack(listeners[0]));
  state.set_bundle(packer.Pack(parts_.bundle));
  packer.Leave(program_);
  packer.Leave(parts_.context.log.fifo());
  BERTH_RETURN_IF_ERROR(packer.CheckComplete());
  for (const int fd : packer.descriptors()) state.add_descriptors(fd);
  Packed packed{.state = UniqueFd(), .descriptors = packer.descriptors()};
  BERTH_ASSIGN_OR_RETURN(packed.state, SealedMemory(handover::Wrap(state.SerializeAsString())));
  return packed;
}

// --- The looks
// --------------------------------------------------------------------------------------

absl::StatusOr<Upgrade::Look> Upgrade::StartLook(const Packed& packed) {
  std::vector<std::string> words = parts_.arguments;
  words.insert(words.end(), {"-upgrade-check", absl::StrCat(packed.state.get())});
  const std::vector<char*> arguments = Pointers(words);
  BERTH_ASSIGN_OR_RETURN(Pipe report, MakePipe());
  BERTH_ASSIGN_OR_RETURN(launch::Cloned child, launch::CloneChild(0, BorrowedFd(-1)));
  if (child.pid == 0) {
    // A group of its own: what it starts ends with it. Nothing but what travels goes along.
    ::setpgid(0, 0);
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (const int fd : packed.descriptors) ::fcntl(fd, F_SETFD, 0);
    for (const int fd : {packed.state.get(), program_.get()}) ::fcntl(fd, F_SETFD, 0);
    ::dup2(report.write.get(), STDOUT_FILENO);
    ::dup2(report.write.get(), STDERR_FILENO);
    ::execveat(program_.get(), "", arguments.data(), environ, AT_EMPTY_PATH);
    const std::string why = ErrnoName(errno);
    (void)!::write(STDOUT_FILENO, why.data(), why.size());
    ::_exit(kCannotExecute);
  }
  ::setpgid(child.pid, child.pid);  // whoever of us comes first
  (void)::fcntl(report.read.get(), F_SETFL, O_NONBLOCK);
  return Look{.pid = child.pid, .pidfd = std::move(child.pidfd), .report = std::move(report.read)};
}

void Upgrade::KillLook(const Look& look) {
  ::kill(-look.pid, SIGKILL);  // the group: its leader is not reaped yet
  launch::Reap(look.pidfd);
}

absl::StatusOr<std::string> Upgrade::EndLook(Look look) {
  siginfo_t info = {};
  const bool ended = ::waitid(P_PIDFD, look.pidfd.get(), &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
                     info.si_pid != 0;
  std::string report(kReportBytes, '\0');
  const ssize_t got = ::read(look.report.get(), report.data(), report.size());
  report.resize(got < 0 ? 0 : got);
  KillLook(look);
  const absl::string_view said = absl::StripAsciiWhitespace(report);
  const auto no = [&](absl::string_view how) {
    return absl::FailedPreconditionError(absl::StrCat(
        "the new program cannot take over: as a check it ", how,
        said.empty() ? "" : ", saying: ", absl::CEscape(said), "; the shim goes on as it was"));
  };
  if (!ended) return no("did not answer in time");
  if (info.si_code != CLD_EXITED) return no(absl::StrCat("was ended by signal ", info.si_status));
  if (info.si_status == kCannotExecute) return no("could not be executed");
  if (info.si_status != 0) return no(absl::StrCat("ended with status ", info.si_status));
  absl::string_view version = said;
  if (!absl::ConsumePrefix(&version, kYes)) return no("gave no answer that is known here");
  return std::string(version);
}

void Upgrade::FirstLook(Packed packed) {
  parts_.server.SetReading(ttrpc::Connection::Reading::kYes);
  auto look = StartLook(packed);
  if (!look.ok()) return Reply(Annotate(look.status(), "start the check"));
  look_ = *std::move(look);
  auto watch = parts_.loop.Watch(look_->pidfd, EPOLLIN, [this](uint32_t) { FirstLookEnded(); });
  if (!watch.ok()) {
    KillLook(*std::exchange(look_, std::nullopt));
    return Reply(watch.status());
  }
  look_watch_ = *std::move(watch);
  timer_ = parts_.loop.After(check_timeout_, [this] { FirstLookEnded(); });
}

void Upgrade::FirstLookEnded() {
  parts_.loop.Cancel(timer_);
  look_watch_.Reset();
  auto version = EndLook(*std::exchange(look_, std::nullopt));
  if (!version.ok()) return Reply(version.status());
  if (!check_only_) return AwaitRest([this](Packed packed) { LastLook(std::move(packed)); });
  v1::UpgradeResponse response;
  response.set_old_version(kVersion);
  response.set_new_version(*version);
  Reply(response.SerializeAsString());
}

void Upgrade::LastLook(Packed packed) {
  auto look = StartLook(packed);
  if (!look.ok()) return Reply(Annotate(look.status(), "start the check"));
  const absl::Time deadline = absl::Now() + kLastLookLimit;
  struct pollfd wait = {look->pidfd.get(), POLLIN, 0};
  int ready = 0;
  do {
    const int64_t left_ms = absl::ToInt64Milliseconds(deadline - absl::Now());
    ready = left_ms <= 0 ? 0 : ::poll(&wait, 1, static_cast<int>(left_ms));
  } while (ready < 0 && errno == EINTR);
  const auto version = EndLook(*std::move(look));
  if (!version.ok()) return Reply(version.status());
  Reply(Execute(packed));
}

absl::Status Upgrade::Execute(const Packed& packed) {
  std::vector<std::string> words = parts_.arguments;
  words.insert(words.end(), {"-upgrade-take", absl::StrCat(packed.state.get())});
  const std::vector<char*> arguments = Pointers(words);
  for (const int fd : packed.descriptors) ::fcntl(fd, F_SETFD, 0);
  ::fcntl(packed.state.get(), F_SETFD, 0);
  ::execveat(program_.get(), "", arguments.data(), environ, AT_EMPTY_PATH);
  const int error = errno;
  ::close_range(kFirstOfOurs, ~0u, CLOSE_RANGE_CLOEXEC);  // as all of ours were
  return absl::FailedPreconditionError(absl::StrCat(
      "the new program cannot be executed: ", ErrnoName(error), "; the shim goes on as it was"));
}

}  // namespace berth::service
