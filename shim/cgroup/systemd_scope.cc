#include "shim/cgroup/systemd_scope.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"
#include "shim/cgroup/dbus_message.h"

namespace berth::cgroup {
namespace {

constexpr char kPrivateSocket[] = "/run/systemd/private";
constexpr char kBusSocket[] = "/run/dbus/system_bus_socket";
constexpr char kSystemd[] = "org.freedesktop.systemd1";
constexpr size_t kLargestAnswer = 1u << 20;
// How often membership is looked at when no message wakes us.
constexpr absl::Duration kLook = absl::Milliseconds(5);

// Who we are where systemd runs. /proc/self/uid_map has lines of: id here, id there, how many.
uint32_t UidOnTheHost() {
  const uint32_t own = ::geteuid();
  const absl::StatusOr<std::string> map = ReadFile("/proc/self/uid_map");
  if (!map.ok()) return own;
  for (absl::string_view line : absl::StrSplit(*map, '\n', absl::SkipEmpty())) {
    const std::vector<absl::string_view> fields = absl::StrSplit(line, ' ', absl::SkipEmpty());
    uint32_t numbers[3];
    if (fields.size() != 3 || !absl::SimpleAtoi(fields[0], &numbers[0]) ||
        !absl::SimpleAtoi(fields[1], &numbers[1]) || !absl::SimpleAtoi(fields[2], &numbers[2])) {
      continue;
    }
    if (own >= numbers[0] && own - numbers[0] < numbers[2]) return numbers[1] + (own - numbers[0]);
  }
  return own;
}

std::string UserDirectory() {
  const char* directory = ::getenv("XDG_RUNTIME_DIR");
  return directory != nullptr ? directory : absl::StrCat("/run/user/", UidOnTheHost());
}

std::string PrivateSocket(SystemdManager manager) {
  return manager == SystemdManager::kUser ? UserDirectory() + "/systemd/private" : kPrivateSocket;
}

std::string BusSocket(SystemdManager manager) {
  if (manager == SystemdManager::kSystem) return kBusSocket;
  const char* address = ::getenv("DBUS_SESSION_BUS_ADDRESS");
  absl::string_view path = address != nullptr ? address : "";
  // "unix:path=/run/user/1000/bus,guid=..."
  if (!absl::ConsumePrefix(&path, "unix:path=")) return UserDirectory() + "/bus";
  return std::string(path.substr(0, path.find_first_of(",;")));
}

// A connection that has been let in.
class Bus {
 public:
  absl::Status Connect(const std::string& path, absl::Time deadline) {
    deadline_ = deadline;
    BERTH_ASSIGN_OR_RETURN(socket_, ConnectUnix(path));
    // EXTERNAL: who we are is what the kernel says of the socket's peer.
    std::string hello(1, '\0');
    hello += "AUTH EXTERNAL ";
    for (char c : absl::StrCat(UidOnTheHost())) absl::StrAppend(&hello, absl::Hex(c));
    BERTH_RETURN_IF_ERROR(WriteAll(socket_, hello + "\r\n"));
    while (!absl::StrContains(input_, "\r\n")) BERTH_RETURN_IF_ERROR(Receive());
    if (!absl::StartsWith(input_, "OK ")) {
      return absl::PermissionDeniedError(absl::StrCat("systemd does not let us in: ", input_));
    }
    input_.clear();
    return WriteAll(socket_, "BEGIN\r\n");
  }

  // Sends `call` and waits for its answer. Errors: what the other side says.
  absl::Status Call(const DbusCall& call) {
    BERTH_RETURN_IF_ERROR(WriteAll(socket_, EncodeCall(call)));
    while (true) {
      BERTH_ASSIGN_OR_RETURN(const DbusAnswer answer, Next());
      if (answer.reply_to != call.serial) continue;  // a signal, or another's
      if (!answer.is_error) return absl::OkStatus();
      return absl::FailedPreconditionError(
          absl::StrCat("systemd: ", answer.text, " (", answer.error_name, ")"));
    }
  }

  // Until something arrives, or `patience` is over.
  void WaitForNews(absl::Duration patience) {
    struct pollfd wait = {socket_.get(), POLLIN, 0};
    if (::poll(&wait, 1, static_cast<int>(absl::ToInt64Milliseconds(patience))) == 1) {
      char scrap[4096];
      if (::recv(socket_.get(), scrap, sizeof(scrap), MSG_DONTWAIT) == 0) socket_.Reset();
    }
  }

 private:
  absl::Status Receive() {
    const absl::Duration left = deadline_ - absl::Now();
    struct pollfd wait = {socket_.get(), POLLIN, 0};
    const int ready =
        ::poll(&wait, 1,
               static_cast<int>(absl::ToInt64Milliseconds(std::max(left, absl::ZeroDuration()))));
    if (ready == 0) return absl::DeadlineExceededError("systemd does not answer");
    if (ready < 0)
      return errno == EINTR ? absl::OkStatus() : ErrnoStatus(errno, "wait for systemd");
    char buffer[8192];
    const ssize_t size = ::recv(socket_.get(), buffer, sizeof(buffer), 0);
    if (size < 0) return ErrnoStatus(errno, "receive from systemd");
    if (size == 0) return absl::UnavailableError("systemd closed the connection");
    input_.append(buffer, static_cast<size_t>(size));
    if (input_.size() > kLargestAnswer) return absl::DataLossError("systemd answers too much");
    return absl::OkStatus();
  }

  absl::StatusOr<DbusAnswer> Next() {
    while (true) {
      DbusAnswer answer;
      BERTH_ASSIGN_OR_RETURN(const size_t used, DecodeAnswer(input_, answer));
      if (used > 0) {
        input_.erase(0, used);
        return answer;
      }
      BERTH_RETURN_IF_ERROR(Receive());
    }
  }

  UniqueFd socket_;
  std::string input_;
  absl::Time deadline_;
};

absl::StatusOr<bool> IsInScope(const ScopeRequest& request) {
  absl::StatusOr<std::string> text = ReadFile(absl::StrCat("/proc/", request.pid, "/cgroup"));
  if (!text.ok()) {
    return absl::FailedPreconditionError("the container's init ended while systemd made its scope");
  }
  return absl::StrContains(*text, absl::StrCat(request.unit.path, "\n"));
}

DbusCall StartCall(const ScopeRequest& request) {
  DbusCall call;
  call.serial = 2;
  call.destination = kSystemd;
  call.path = "/org/freedesktop/systemd1";
  call.interface = "org.freedesktop.systemd1.Manager";
  call.member = "StartTransientUnit";
  call.signature = "ssa(sv)a(sa(sv))";
  DbusBody body;
  body.String(request.unit.scope).String("replace");
  const size_t properties = body.BeginArray(8);
  body.StringProperty("Description", request.description);
  body.StringProperty("Slice", request.unit.slice);
  // The group's inside is ours; and a failed scope leaves no unit behind.
  body.BooleanProperty("Delegate", 1).BooleanProperty("DefaultDependencies", 0);
  body.StringProperty("CollectMode", "inactive-or-failed");
  for (const auto& [name, value] : request.limits) body.NumberProperty(name, value);
  body.PidsProperty("PIDs", static_cast<uint32_t>(request.pid));
  body.EndArray(properties, 8);
  body.EndArray(body.BeginArray(8), 8);
  call.body = body.Take();
  return call;
}

}  // namespace

std::vector<std::pair<std::string, uint64_t>> ScopeLimits(const spec::Resources& resources) {
  std::vector<std::pair<std::string, uint64_t>> limits;
  if (resources.memory.limit_bytes.value_or(0) > 0) {
    limits.emplace_back("MemoryMax", static_cast<uint64_t>(*resources.memory.limit_bytes));
  }
  if (resources.pids_limit.value_or(0) > 0) {
    limits.emplace_back("TasksMax", static_cast<uint64_t>(*resources.pids_limit));
  }
  if (resources.cpu.quota_us.value_or(0) > 0) {
    const uint64_t period = resources.cpu.period_us.value_or(100000);
    const uint64_t quota = static_cast<uint64_t>(*resources.cpu.quota_us);
    if (period > 0) limits.emplace_back("CPUQuotaPerSecUSec", quota * 1000000 / period);
  }
  return limits;
}

absl::Status CheckSystemdRuns(SystemdManager manager) {
  if (::access("/run/systemd/system", F_OK) != 0) {
    return absl::FailedPreconditionError(
        "the systemd cgroup driver was asked for, but systemd does not run here "
        "(/run/systemd/system is not there); use the cgroupfs driver");
  }
  if (manager == SystemdManager::kUser &&
      ::access((UserDirectory() + "/systemd").c_str(), F_OK) != 0) {
    return absl::FailedPreconditionError(absl::StrCat(
        "the systemd cgroup driver was asked for, but this user has no session of systemd's (",
        UserDirectory(),
        "/systemd is not there): log in, or `loginctl enable-linger`, and set "
        "XDG_RUNTIME_DIR; or use the cgroupfs driver"));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> ManagerRoot(SystemdManager manager) {
  pid_t pid = 1;
  if (manager == SystemdManager::kUser) {
    // The socket's peer is who listens on it.
    BERTH_ASSIGN_OR_RETURN(const UniqueFd socket, ConnectUnix(PrivateSocket(manager)),
                           _ << "reach this user's systemd");
    struct ucred peer = {};
    socklen_t size = sizeof(peer);
    if (::getsockopt(socket.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) {
      return ErrnoStatus(errno, "ask for the peer of", PrivateSocket(manager));
    }
    pid = peer.pid;
  }
  BERTH_ASSIGN_OR_RETURN(const std::string text, ReadFile(absl::StrCat("/proc/", pid, "/cgroup")));
  return SystemdRoot(text);
}

absl::Status StartScope(const ScopeRequest& request, absl::Time deadline) {
  Bus bus;
  absl::Status status = bus.Connect(PrivateSocket(request.manager), deadline);
  if (!status.ok()) {
    Bus other;
    BERTH_RETURN_IF_ERROR(other.Connect(BusSocket(request.manager), deadline))
        << "reach systemd (" << PrivateSocket(request.manager) << ": " << status.message() << ")";
    bus = std::move(other);
    DbusCall hello;
    hello.serial = 1;
    hello.destination = hello.interface = "org.freedesktop.DBus";
    hello.path = "/org/freedesktop/DBus";
    hello.member = "Hello";
    BERTH_RETURN_IF_ERROR(bus.Call(hello));
  }
  BERTH_RETURN_IF_ERROR(bus.Call(StartCall(request))) << "start " << request.unit.scope;
  // The answer is a job; it is done when the process has moved.
  while (true) {
    BERTH_ASSIGN_OR_RETURN(const bool there, IsInScope(request));
    if (there) return absl::OkStatus();
    if (absl::Now() >= deadline) {
      return absl::DeadlineExceededError(absl::StrCat("systemd did not start ", request.unit.scope,
                                                      "; see journalctl -u ", request.unit.scope));
    }
    bus.WaitForNews(kLook);
  }
}

}  // namespace berth::cgroup
