#include "server/worker/client/door_client.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"
#include "server/worker/door_messages.h"

namespace berth::worker {
namespace {

constexpr int kOpenPatienceMs = 30'000;
constexpr int kRestartAfterMs = 1'000;
constexpr absl::Duration kEndPatience = absl::Seconds(5);
// As tls_door.h says.
constexpr int kControlFd = 3;
constexpr int kListenerFd = 4;
constexpr int kAuthorityFd = 5;
constexpr int kCertificateFd = 6;
constexpr int kKeyFd = 7;

absl::Status AwaitOpen(BorrowedFd control) {
  pollfd polled = {control.get(), POLLIN, 0};
  int ready;
  do {
    ready = ::poll(&polled, 1, kOpenPatienceMs);
  } while (ready < 0 && errno == EINTR);
  if (ready <= 0) return absl::UnavailableError("berth-worker's TLS door does not open");
  BERTH_ASSIGN_OR_RETURN(const DoorMessage message, ReceiveDoorMessage(control));
  if (message.kind == kDoorOpen) return absl::OkStatus();
  if (message.kind == kDoorShut) return absl::FailedPreconditionError(message.text);
  return absl::UnavailableError("berth-worker's TLS door ended before it opened");
}

}  // namespace

absl::StatusOr<std::unique_ptr<DoorClient>> DoorClient::Start(Options options, BorrowedFd listener,
                                                              const Logger& log,
                                                              OnClient on_client) {
  std::unique_ptr<DoorClient> client(
      new DoorClient(std::move(options), listener, log, std::move(on_client)));
  BERTH_ASSIGN_OR_RETURN(Pipe pipe, MakePipe());
  client->stop_read_ = std::move(pipe.read);
  client->stop_write_ = std::move(pipe.write);
  BERTH_RETURN_IF_ERROR(client->StartProcess());
  client->thread_ = std::thread([self = client.get()] { self->Run(); });
  return client;
}

DoorClient::~DoorClient() { Stop(); }

void DoorClient::StopAccepting() {
  if (stop_write_.valid()) WriteAll(stop_write_, "a").IgnoreError();  // the thread is there
}

void DoorClient::Stop() {
  stop_write_.Reset();
  if (thread_.joinable()) thread_.join();
  control_.Reset();
  if (process_.pid() > 0) process_.Wait(kEndPatience).IgnoreError();
  process_ = ChildProcess();  // which kills it where it has not ended
}

absl::Status DoorClient::StartProcess() {
  BERTH_ASSIGN_OR_RETURN(const UniqueFd ca, OpenFile(options_.ca, O_RDONLY), _ << "tcp_tls_ca");
  BERTH_ASSIGN_OR_RETURN(const UniqueFd certificate, OpenFile(options_.certificate, O_RDONLY),
                         _ << "tcp_tls_cert");
  BERTH_ASSIGN_OR_RETURN(const UniqueFd key, OpenFile(options_.key, O_RDONLY), _ << "tcp_tls_key");
  BERTH_ASSIGN_OR_RETURN(SocketPair pair, MakeSocketPair(SOCK_SEQPACKET));
  SpawnOptions spawn;
  spawn.executable = options_.executable;
  spawn.arguments = {"berth-worker", "door", options_.client_name};
  spawn.descriptors = {{2, 2},
                       {kControlFd, pair.second.get()},
                       {kListenerFd, listener_.get()},
                       {kAuthorityFd, ca.get()},
                       {kCertificateFd, certificate.get()},
                       {kKeyFd, key.get()}};
  spawn.working_directory = std::string("/");   // a literal trips g++ 12's -Wrestrict (bug 105651)
  spawn.session = SpawnOptions::Session::kNew;  // a ^C for berthd is not for it
  absl::StatusOr<ChildProcess> process = Spawn(spawn);
  if (!process.ok()) {
    return absl::UnavailableError(absl::StrCat(
        "berth-worker, which serves TLS, cannot be started: ", process.status().message(),
        "; install it beside berthd, or set "
        "runtime.worker in the configuration"));
  }
  pair.second.Reset();  // only the process's own end keeps it: its death is then seen here
  BERTH_RETURN_IF_ERROR(AwaitOpen(pair.first));
  process_ = *std::move(process);
  control_ = std::move(pair.first);
  return absl::OkStatus();
}

void DoorClient::Run() {
  ::pthread_setname_np(::pthread_self(), "tls-door");
  while (true) {
    if (control_.valid()) {
      if (!TakeMessages()) return;
      control_.Reset();
      // Its clients have lost their connections with it.
      const absl::StatusOr<ExitState> end = process_.Wait(kEndPatience);
      log_.Error("the process that serves TLS ended, and is started again",
                 {{"status", end.ok() ? absl::StrCat(end->ExitCode()) : "none: it was killed"}});
      process_ = ChildProcess();
    }
    if (Stopping(kRestartAfterMs)) return;
    const absl::Status status = StartProcess();
    if (!status.ok()) log_.Error("TLS is not served for now", {{"error", status}});
  }
}

bool DoorClient::TakeMessages() {
  bool accepting = true;
  while (true) {
    pollfd polled[2] = {{stop_read_.get(), POLLIN, 0}, {control_.get(), POLLIN, 0}};
    if (::poll(polled, 2, -1) < 0) continue;  // EINTR; nothing else can come
    if (polled[0].revents != 0) {
      char byte;
      if (::read(stop_read_.get(), &byte, 1) != 1) return false;
      accepting = false;
      (void)::shutdown(control_.get(), SHUT_WR);  // where it fails the process has gone
      continue;
    }
    absl::StatusOr<DoorMessage> message = ReceiveDoorMessage(control_);
    if (!message.ok() || message->kind == 0) return accepting && !Stopping(0);
    if (message->kind == kDoorTurnedAway) {
      log_.Warning("turned a TLS client away", {{"client", message->text}});
    } else if (message->kind == kDoorClient && message->socket.valid()) {
      log_.Debug("TLS client connected", {{"subject", message->text}});
      on_client_(std::move(message->socket));
    }
  }
}

bool DoorClient::Stopping(int wait_ms) const {
  pollfd polled = {stop_read_.get(), POLLIN, 0};
  return ::poll(&polled, 1, wait_ms) > 0;
}

}  // namespace berth::worker
