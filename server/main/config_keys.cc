#include "server/main/config_keys.h"

#include <limits>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/log/logger.h"
#include "base/os/tcp_socket.h"

namespace berth {
namespace {

constexpr absl::string_view kBoltTable = "plugins.io.containerd.metadata.v1.bolt";
constexpr absl::string_view kGcTable = "plugins.io.containerd.gc.v1.scheduler";
constexpr int64_t kMaxMessageBytes = std::numeric_limits<int32_t>::max();

absl::Status CheckRange(int64_t value, int64_t low, int64_t high) {
  if (value >= low && value <= high) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(value, " is out of range: expected ", low, " to ", high));
}

absl::Status CheckOneOf(absl::string_view value, absl::Span<const absl::string_view> allowed) {
  std::string expected;
  for (const absl::string_view candidate : allowed) {
    if (value == candidate) return absl::OkStatus();
    absl::StrAppend(&expected, expected.empty() ? "" : ", ", "\"", candidate, "\"");
  }
  return absl::InvalidArgumentError(
      absl::StrCat("\"", value, "\" is not understood: expected one of ", expected));
}

// Paths are used as they are, whatever the working directory is by then.
absl::Status CheckAbsolute(absl::string_view path) {
  if (absl::StartsWith(path, "/")) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("\"", path, "\" is not understood: expected an absolute path"));
}

absl::Status CheckAbsoluteOrEmpty(absl::string_view path) {
  return path.empty() ? absl::OkStatus() : CheckAbsolute(path);
}

absl::Status CheckNotNegative(absl::Duration duration) {
  if (duration >= absl::ZeroDuration() && duration < absl::InfiniteDuration()) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat(absl::FormatDuration(duration), " is out of range: expected 0s or longer"));
}

absl::Status CheckPositive(absl::Duration duration) {
  if (duration > absl::ZeroDuration() && duration < absl::InfiniteDuration()) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat(absl::FormatDuration(duration), " is out of range: expected more than 0s"));
}

absl::Status CheckId(int64_t id) {
  return CheckRange(id, 0, std::numeric_limits<uint32_t>::max() - 1);
}

absl::Status CheckProxies(const std::map<std::string, ProxyPlugin>& proxies) {
  for (const auto& [name, proxy] : proxies) {
    if (name == "overlayfs" || name == "native") {
      return absl::InvalidArgumentError(
          absl::StrCat("\"", name, "\" is Berth's own: give the proxy another name"));
    }
    if (proxy.type != "snapshot") {
      return absl::InvalidArgumentError(
          absl::StrCat(name, ": type \"", proxy.type,
                       "\" is not understood: only snapshotters can be in another process, with "
                       "type = \"snapshot\""));
    }
    const absl::Status address = CheckAbsolute(proxy.address);
    if (!address.ok()) {
      return absl::InvalidArgumentError(absl::StrCat(name, ": address ", address.message()));
    }
  }
  return absl::OkStatus();
}

constexpr absl::string_view kPolicies[] = {"shared", "isolated"};
constexpr absl::string_view kLayerPolicies[] = {"keep", "drop"};
constexpr absl::string_view kPlaintext[] = {"", "loopback"};
constexpr absl::string_view kFormats[] = {"", "text", "json"};

// A field and its check, as functions without state.
#define BERTH_FIELD(member) [](Config& c) -> ConfigField { return &c.member; }
#define BERTH_CHECKED(expression) [](const Config& c) -> absl::Status { return expression; }

const ConfigKey kKeys[] = {
    {"", "version", "",
     "The form of this file: 2 and 3 are containerd's, whose shared keys mean the same here.",
     BERTH_FIELD(version), BERTH_CHECKED(CheckRange(c.version, 2, 3))},
    {"", "root", "",
     "What must outlive a reboot: metadata, content, snapshots. An absolute path (--root).",
     BERTH_FIELD(root), BERTH_CHECKED(CheckAbsolute(c.root))},
    {"", "state", "",
     "What belongs to running containers: sockets and bundles. An absolute path (--state).",
     BERTH_FIELD(state), BERTH_CHECKED(CheckAbsolute(c.state))},
    {"", "oom_score", "",
     "The daemon's oom_score_adj, from -1000 to 1000; shims get one more. 0 leaves it as it is.",
     BERTH_FIELD(oom_score), BERTH_CHECKED(CheckRange(c.oom_score, -1000, 1000))},

    {"grpc", "address", "",
     "The unix socket of the API (--address). Empty: berth.sock in the state directory.",
     BERTH_FIELD(grpc.socket.address), BERTH_CHECKED(CheckAbsoluteOrEmpty(c.grpc.socket.address))},
    {"grpc", "uid", "", "Owner of the socket. Its mode is 0660.", BERTH_FIELD(grpc.socket.uid),
     BERTH_CHECKED(CheckId(c.grpc.socket.uid))},
    {"grpc", "gid", "", "Group of the socket: its members may use the API, which makes them root.",
     BERTH_FIELD(grpc.socket.gid), BERTH_CHECKED(CheckId(c.grpc.socket.gid))},
    {"grpc", "group", "", "The same by name; not empty, it replaces gid.",
     BERTH_FIELD(grpc.socket.group), nullptr},
    {"grpc", "max_recv_message_size", "", "The longest request, in bytes.",
     BERTH_FIELD(grpc.max_receive_bytes),
     BERTH_CHECKED(CheckRange(c.grpc.max_receive_bytes, 4096, kMaxMessageBytes))},
    {"grpc", "max_send_message_size", "", "The longest response, in bytes.",
     BERTH_FIELD(grpc.max_send_bytes),
     BERTH_CHECKED(CheckRange(c.grpc.max_send_bytes, 4096, kMaxMessageBytes))},

    {"grpc", "tcp_address", "",
     "Serve the API on TCP as well, at this numeric address and port, to clients with a "
     "certificate (tcp_tls_), or\na loopback address to everybody (tcp_plaintext).",
     BERTH_FIELD(grpc.tcp.address),
     BERTH_CHECKED(c.grpc.tcp.address.empty() ? absl::OkStatus()
                                              : IsLoopback(c.grpc.tcp.address).status())},
    {"grpc", "tcp_tls_ca", "", "The certificates (PEM) that clients' certificates must lead to.",
     BERTH_FIELD(grpc.tcp.tls_ca), BERTH_CHECKED(CheckAbsoluteOrEmpty(c.grpc.tcp.tls_ca))},
    {"grpc", "tcp_tls_cert", "", "The server's certificate (PEM).", BERTH_FIELD(grpc.tcp.tls_cert),
     BERTH_CHECKED(CheckAbsoluteOrEmpty(c.grpc.tcp.tls_cert))},
    {"grpc", "tcp_tls_key", "", "The key of that certificate (PEM, without passphrase).",
     BERTH_FIELD(grpc.tcp.tls_key), BERTH_CHECKED(CheckAbsoluteOrEmpty(c.grpc.tcp.tls_key))},
    {"grpc", "tcp_tls_common_name", "",
     "Not empty: a client's certificate must have this common name or subject alternative name.",
     BERTH_FIELD(grpc.tcp.tls_common_name), nullptr},
    {"grpc", "tcp_plaintext", "",
     "\"loopback\": tcp_address is served without TLS, to every user of this machine. Only for a "
     "loopback address.",
     BERTH_FIELD(grpc.tcp.plaintext), BERTH_CHECKED(CheckOneOf(c.grpc.tcp.plaintext, kPlaintext))},

    {"ttrpc", "address", "",
     "The unix socket on which shims report events. Empty: the API's address with .ttrpc behind "
     "it.",
     BERTH_FIELD(ttrpc.address), BERTH_CHECKED(CheckAbsoluteOrEmpty(c.ttrpc.address))},
    {"ttrpc", "uid", "", "Owner of that socket.", BERTH_FIELD(ttrpc.uid),
     BERTH_CHECKED(CheckId(c.ttrpc.uid))},
    {"ttrpc", "gid", "", "Group of that socket.", BERTH_FIELD(ttrpc.gid),
     BERTH_CHECKED(CheckId(c.ttrpc.gid))},

    {"debug", "level", "",
     "What is logged, from trace over debug, info, warn and error to fatal (--log-level).",
     BERTH_FIELD(debug.level),
     BERTH_CHECKED(c.debug.level.empty() ? absl::OkStatus()
                                         : ParseLogLevel(c.debug.level).status())},
    {"debug", "format", "", "The form of log lines on stderr: \"text\" or \"json\".",
     BERTH_FIELD(debug.format), BERTH_CHECKED(CheckOneOf(c.debug.format, kFormats))},

    {"content", "content_sharing_policy", kBoltTable,
     "Whether a namespace gets a blob that another one has by naming its digest (\"shared\"), or "
     "must\nsend the bytes to prove that it has them (\"isolated\").",
     BERTH_FIELD(content.sharing_policy),
     BERTH_CHECKED(CheckOneOf(c.content.sharing_policy, kPolicies))},

    {"image", "compressed_layers", "",
     "Whether the compressed layers of an image stay once they are unpacked (\"keep\"), or are "
     "left\nto garbage collection (\"drop\"): the image then runs, but must be pulled again to be "
     "pushed, saved\nor unpacked by another snapshotter.",
     BERTH_FIELD(image.compressed_layers),
     BERTH_CHECKED(CheckOneOf(c.image.compressed_layers, kLayerPolicies))},

    {"events", "retained_events", "",
     "How many of the last events are kept for subscribers that come back or are slow: at least as "
     "many,\nunless they take more than retained_bytes.",
     BERTH_FIELD(events.retained_events),
     BERTH_CHECKED(CheckRange(c.events.retained_events, 1, 1 << 30))},
    {"events", "retained_bytes", "", "How much room they may take in root/events, in bytes.",
     BERTH_FIELD(events.retained_bytes),
     BERTH_CHECKED(CheckRange(c.events.retained_bytes, 1 << 20, int64_t{1} << 40))},

    {"metrics", "address", "",
     "Serve Prometheus' text form at http://ADDRESS/v1/metrics: a numeric address and port. Empty: "
     "not at all.\nThere is no TLS and no password: choose a loopback address.",
     BERTH_FIELD(metrics.address),
     BERTH_CHECKED(c.metrics.address.empty() ? absl::OkStatus()
                                             : IsLoopback(c.metrics.address).status())},

    {"gc", "pause_threshold", kGcTable,
     "The part of the time, at most 0.5, that garbage collection may take.",
     BERTH_FIELD(gc.pause_threshold),
     BERTH_CHECKED(c.gc.pause_threshold > 0 && c.gc.pause_threshold <= 0.5
                       ? absl::OkStatus()
                       : absl::InvalidArgumentError(absl::StrCat(
                             c.gc.pause_threshold,
                             " is out of range: expected more than 0 and at most 0.5")))},
    {"gc", "deletion_threshold", kGcTable,
     "Collect at once after that many deletions. 0: any deletion is a reason, in its time.",
     BERTH_FIELD(gc.deletion_threshold),
     BERTH_CHECKED(CheckRange(c.gc.deletion_threshold, 0, std::numeric_limits<int32_t>::max()))},
    {"gc", "mutation_threshold", kGcTable, "Collect once the database was changed that often.",
     BERTH_FIELD(gc.mutation_threshold),
     BERTH_CHECKED(CheckRange(c.gc.mutation_threshold, 0, std::numeric_limits<int32_t>::max()))},
    {"gc", "schedule_delay", kGcTable, "The wait between a reason to collect and the collection.",
     BERTH_FIELD(gc.schedule_delay), BERTH_CHECKED(CheckNotNegative(c.gc.schedule_delay))},
    {"gc", "startup_delay", kGcTable, "The wait between the start and the first collection.",
     BERTH_FIELD(gc.startup_delay), BERTH_CHECKED(CheckNotNegative(c.gc.startup_delay))},

    {"runtime", "shim", "", "Path of berth-shim. Empty: the one beside berthd.",
     BERTH_FIELD(runtime.shim), BERTH_CHECKED(CheckAbsoluteOrEmpty(c.runtime.shim))},
    {"runtime", "worker", "",
     "Path of berth-worker, which unpacks and compares layers. Empty: the one beside berthd.",
     BERTH_FIELD(runtime.worker), BERTH_CHECKED(CheckAbsoluteOrEmpty(c.runtime.worker))},

    {"executor", "threads", "", "Threads for work that may wait for a disk.",
     BERTH_FIELD(executor.threads), BERTH_CHECKED(CheckRange(c.executor.threads, 2, 256))},
    {"executor", "queue_limit", "",
     "Calls that may wait for such a thread; further ones are told RESOURCE_EXHAUSTED.",
     BERTH_FIELD(executor.queue_limit),
     BERTH_CHECKED(CheckRange(c.executor.queue_limit, 16, 1 << 20))},

    {"timeouts", "io.containerd.timeout.task.state", "",
     "How long a shim may take to say its task's state, in lists and metrics.",
     BERTH_FIELD(timeouts.task_state), BERTH_CHECKED(CheckPositive(c.timeouts.task_state))},
    {"timeouts", "io.containerd.timeout.shim.load", "",
     "How long connecting to a shim of an earlier daemon may take.",
     BERTH_FIELD(timeouts.shim_load), BERTH_CHECKED(CheckPositive(c.timeouts.shim_load))},
    {"timeouts", "io.containerd.timeout.shim.cleanup", "",
     "How long cleaning up after a lost shim may take at one try.",
     BERTH_FIELD(timeouts.shim_cleanup), BERTH_CHECKED(CheckPositive(c.timeouts.shim_cleanup))},
    {"timeouts", "io.containerd.timeout.shim.shutdown", "",
     "How long a shim may take to end once it holds nothing.", BERTH_FIELD(timeouts.shim_shutdown),
     BERTH_CHECKED(CheckPositive(c.timeouts.shim_shutdown))},

    {"runtime_aliases", "", "",
     "Other names for runtimes: a name on the left; on the right the absolute path of a shim, or "
     "another\nruntime name. Example:\n"
     "  \"io.containerd.kata.v2\" = \"/usr/bin/containerd-shim-kata-v2\"",
     BERTH_FIELD(runtime_aliases), nullptr},

    {"proxy_plugins", "", "",
     "Snapshotters in other processes: a table for each, named as clients will name it. The other "
     "process is\nasked for the same name, or for \"snapshotter\" where that is given. Example:\n"
     "  [proxy_plugins.stargz]\n"
     "  type = \"snapshot\"\n"
     "  address = \"/run/stargz/stargz.sock\"",
     BERTH_FIELD(proxy_plugins), BERTH_CHECKED(CheckProxies(c.proxy_plugins))},
};

#undef BERTH_FIELD
#undef BERTH_CHECKED

const IgnoredConfigKey kIgnored[] = {
    {"imports", "put everything into one file"},
    {"temp", "temporary files live beside what they become"},
    {"plugin_dir", "Berth loads no plugins"},
    {"required_plugins", "every part of Berth is always there"},
    {"disabled_plugins", "no part of Berth can be switched off"},
    {"cgroup", "the service manager places the daemon"},
    {"metrics.grpc_histogram", "calls are measured wherever metrics are served"},
    {"stream_processors", "layers in foreign encodings are not processed"},
    {"timeouts", "nothing in Berth waits for that"},
    {"debug.address", "there is no debug socket"},
    {"debug.uid", "there is no debug socket"},
    {"debug.gid", "there is no debug socket"},
    {"ttrpc.max_recv_message_size", "ttrpc's own limit of 4 MiB holds"},
    {"ttrpc.max_send_message_size", "ttrpc's own limit of 4 MiB holds"},
    {"plugins", "Berth has no such plugin"},
};

}  // namespace

absl::Span<const ConfigKey> ConfigKeys() { return kKeys; }
absl::Span<const IgnoredConfigKey> IgnoredConfigKeys() { return kIgnored; }

}  // namespace berth
