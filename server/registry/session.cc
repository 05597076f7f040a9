#include "server/registry/session.h"

#include <utility>

namespace berth::registry {
namespace {

template <typename Map>
void Put(Map& map, const std::string& key, typename Map::mapped_type value) {
  // Anything but the newest may go: it is learned again by one more request.
  if (map.size() >= Session::kMaxEntries && map.find(key) == map.end()) map.erase(map.begin());
  map.insert_or_assign(key, std::move(value));
}

}  // namespace

std::optional<std::string> Session::FindToken(const std::string& key, absl::Time now) {
  MutexLock lock(&mutex_);
  const auto found = tokens_.find(key);
  if (found == tokens_.end()) return std::nullopt;
  if (found->second.end > now) return found->second.text;
  tokens_.erase(found);
  return std::nullopt;
}

void Session::PutToken(const std::string& key, std::string token, absl::Time end) {
  MutexLock lock(&mutex_);
  Put(tokens_, key, {std::move(token), end});
}

void Session::DropToken(const std::string& key) {
  MutexLock lock(&mutex_);
  tokens_.erase(key);
}

std::optional<Challenge> Session::FindChallenge(const std::string& host) {
  MutexLock lock(&mutex_);
  const auto found = challenges_.find(host);
  if (found == challenges_.end()) return std::nullopt;
  return found->second;
}

void Session::PutChallenge(const std::string& host, Challenge challenge) {
  MutexLock lock(&mutex_);
  Put(challenges_, host, std::move(challenge));
}

std::string Session::FindScheme(const std::string& host) {
  MutexLock lock(&mutex_);
  const auto found = schemes_.find(host);
  return found == schemes_.end() ? std::string() : found->second;
}

void Session::PutScheme(const std::string& host, std::string scheme) {
  MutexLock lock(&mutex_);
  Put(schemes_, host, std::move(scheme));
}

bool Session::IsDown(const std::string& host, absl::Time now) {
  MutexLock lock(&mutex_);
  const auto found = down_.find(host);
  return found != down_.end() && found->second > now;
}

void Session::PutDown(const std::string& host, absl::Time until) {
  MutexLock lock(&mutex_);
  Put(down_, host, until);
}

}  // namespace berth::registry
