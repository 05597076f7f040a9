// What can be configured, as one plain value.
//
// Invariant: a Config that came out of LoadConfig satisfies every check of config_keys. The
// defaults are those of the member initialisers, and nowhere else. Plain data; immutable once the
// daemon runs. config_keys.h holds the name and the documentation of every field.
#ifndef BERTH_SERVER_MAIN_CONFIG_H_
#define BERTH_SERVER_MAIN_CONFIG_H_

#include <cstdint>
#include <map>
#include <string>

#include "absl/time/time.h"

namespace berth {

struct SocketConfig {
  std::string address;  // empty: derived, see GrpcAddress and TtrpcAddress
  int64_t uid = 0;
  int64_t gid = 0;
  std::string group;  // when set, its number replaces gid
};

// The API on TCP, for clients with a certificate.
struct TcpConfig {
  std::string address;  // numeric host and port; empty: none
  std::string tls_ca;
  std::string tls_cert;
  std::string tls_key;
  std::string tls_common_name;
  std::string plaintext;  // "loopback": without TLS, on a loopback address
};

struct GrpcConfig {
  SocketConfig socket;
  TcpConfig tcp;
  int64_t max_receive_bytes = 16 << 20;
  int64_t max_send_bytes = 16 << 20;
};

struct DebugConfig {
  std::string level = "info";
  std::string format = "text";
};

struct ContentConfig {
  std::string sharing_policy = "shared";
};

struct ImageConfig {
  std::string compressed_layers = "keep";
};

// How much of what happened subscribers that come back can be told.
struct EventsConfig {
  int64_t retained_events = 100'000;
  int64_t retained_bytes = 16 << 20;
};

struct MetricsConfig {
  std::string address;  // numeric host and port; empty: none
};

// A store in another process, at a unix socket.
struct ProxyPlugin {
  std::string type;  // "snapshot"
  std::string address;
  std::string snapshotter;  // what the other process calls it; empty: as we do
};

struct GcConfig {
  double pause_threshold = 0.02;
  int64_t deletion_threshold = 0;
  int64_t mutation_threshold = 100;
  absl::Duration schedule_delay = absl::ZeroDuration();
  absl::Duration startup_delay = absl::Milliseconds(100);
};

struct RuntimeConfig {
  std::string shim;    // empty: berth-shim beside berthd
  std::string worker;  // empty: berth-worker beside berthd
};

struct ExecutorConfig {
  int64_t threads = 8;
  int64_t queue_limit = 4096;
};

// How long a call to one shim may take. containerd's names and meanings.
struct TimeoutsConfig {
  absl::Duration task_state = absl::Seconds(2);
  absl::Duration shim_load = absl::Seconds(5);
  absl::Duration shim_cleanup = absl::Seconds(30);
  absl::Duration shim_shutdown = absl::Seconds(3);
};

struct Config {
  int64_t version = 3;
  std::string root = "/var/lib/berth";
  std::string state = "/run/berth";
  int64_t oom_score = 0;
  GrpcConfig grpc;
  SocketConfig ttrpc;
  DebugConfig debug;
  ContentConfig content;
  ImageConfig image;
  EventsConfig events;
  MetricsConfig metrics;
  GcConfig gc;
  RuntimeConfig runtime;
  ExecutorConfig executor;
  TimeoutsConfig timeouts;
  std::map<std::string, std::string> runtime_aliases;
  std::map<std::string, ProxyPlugin> proxy_plugins;
};

// <state>/berth.sock unless configured.
std::string GrpcAddress(const Config& config);
// The gRPC address with ".ttrpc" unless configured.
std::string TtrpcAddress(const Config& config);

}  // namespace berth

#endif  // BERTH_SERVER_MAIN_CONFIG_H_
