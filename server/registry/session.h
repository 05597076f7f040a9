// What requests to registries share: connections, tokens, and what was learned about hosts.
//
// Invariant: a token is used only for the host, account and scopes that it was given for, and not
// after its end; at most kMaxEntries of each kind are remembered. Thread-safe. Owned by the worker
// for its whole life.
#ifndef BERTH_SERVER_REGISTRY_SESSION_H_
#define BERTH_SERVER_REGISTRY_SESSION_H_

#include <map>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/os/mutex.h"
#include "server/registry/challenge.h"
#include "server/registry/http_client.h"

namespace berth::registry {

class Session {
 public:
  static constexpr size_t kMaxEntries = 256;

  // `stall_timeout`: see HttpConnection.
  explicit Session(absl::Duration stall_timeout = absl::Seconds(30))
      : stall_timeout_(stall_timeout) {}
  absl::Duration stall_timeout() const { return stall_timeout_; }

  HttpPool& pool() { return pool_; }

  std::optional<std::string> FindToken(const std::string& key, absl::Time now);
  void PutToken(const std::string& key, std::string token, absl::Time end);
  void DropToken(const std::string& key);
  // How the host asked last, so that the next request need not be refused first.
  std::optional<Challenge> FindChallenge(const std::string& host);
  void PutChallenge(const std::string& host, Challenge challenge);
  // "http" where a loopback host was found to have no TLS.
  std::string FindScheme(const std::string& host);
  void PutScheme(const std::string& host, std::string scheme);
  // A host that did not answer is not asked for a while, where there is another.
  bool IsDown(const std::string& host, absl::Time now);
  void PutDown(const std::string& host, absl::Time until);

 private:
  struct Token {
    std::string text;
    absl::Time end;
  };
  const absl::Duration stall_timeout_;
  HttpPool pool_;
  Mutex mutex_;
  std::map<std::string, Token> tokens_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, Challenge> challenges_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, std::string> schemes_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, absl::Time> down_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace berth::registry

#endif  // BERTH_SERVER_REGISTRY_SESSION_H_
