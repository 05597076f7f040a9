#include "client/sdk/docker_config.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "base/os/spawn.h"
#include "base/status/status_macros.h"

extern char** environ;

namespace berth::client {
namespace {

// What Docker calls its hub in the file.
constexpr char kHubKey[] = "https://index.docker.io/v1/";
constexpr size_t kMaxConfigBytes = 4 << 20;
constexpr size_t kMaxAnswerBytes = 64 << 10;
constexpr absl::Duration kHelperTimeout = absl::Seconds(60);
// The user name under which helpers keep identity tokens.
constexpr char kTokenUser[] = "<token>";

std::string KeyOf(absl::string_view host) {
  const bool is_hub = host == "docker.io" || host == "index.docker.io" ||
                      host == "registry-1.docker.io" || host == "registry.hub.docker.com";
  return is_hub ? kHubKey : std::string(host);
}

// "https://registry.example/v1/" -> "registry.example": older files hold whole addresses.
absl::string_view HostOfKey(absl::string_view key) {
  if (!absl::ConsumePrefix(&key, "https://")) absl::ConsumePrefix(&key, "http://");
  return key.substr(0, key.find('/'));
}

std::string FindProgram(const std::string& name) {
  const char* path = ::getenv("PATH");
  for (absl::string_view directory :
       absl::StrSplit(path != nullptr ? path : "/usr/local/bin:/usr/bin:/bin", ':')) {
    const std::string candidate = absl::StrCat(directory, "/", name);
    if (::access(candidate.c_str(), X_OK) == 0) return candidate;
  }
  return "";
}

// Runs docker-credential-NAME with `verb`; what it said. Errors: NOT_FOUND when it knows no such
// login.
absl::StatusOr<std::string> RunHelper(const std::string& name, const std::string& verb,
                                      absl::string_view input) {
  const std::string program = absl::StrCat("docker-credential-", name);
  SpawnOptions options;
  options.executable = FindProgram(program);
  if (options.executable.empty()) {
    return absl::NotFoundError(absl::StrCat("the credential helper \"", program,
                                            "\", which Docker's config.json names, is "
                                            "not in PATH; install it, or remove it from the file"));
  }
  options.arguments = {program, verb};
  for (char** entry = environ; *entry != nullptr; ++entry) options.environment.push_back(*entry);
  BERTH_ASSIGN_OR_RETURN(Pipe to_helper, MakePipe());
  BERTH_ASSIGN_OR_RETURN(Pipe from_helper, MakePipe());
  options.descriptors = {{0, to_helper.read.get()}, {1, from_helper.write.get()}, {2, 2}};
  BERTH_ASSIGN_OR_RETURN(ChildProcess child, Spawn(options), _ << "run " << program);
  to_helper.read.Reset();
  from_helper.write.Reset();
  // Less than a pipe holds: writing does not wait for the helper.
  const absl::Status written = WriteAll(to_helper.write, input);
  to_helper.write.Reset();
  BERTH_ASSIGN_OR_RETURN(const std::string answer, ReadAll(from_helper.read, kMaxAnswerBytes),
                         _ << program);
  BERTH_ASSIGN_OR_RETURN(const ExitState end, child.Wait(kHelperTimeout), _ << program);
  if (end.ExitCode() != 0) {
    const absl::string_view message = absl::StripTrailingAsciiWhitespace(answer);
    if (absl::StrContains(message, "credentials not found")) {
      return absl::NotFoundError(std::string(message));
    }
    return absl::UnavailableError(
        absl::StrCat(program, " ", verb, " failed with status ", end.ExitCode(), ": ", message));
  }
  BERTH_RETURN_IF_ERROR(written) << "write to " << program;
  return answer;
}

RegistryLogin FromEntry(const Json& entry) {
  RegistryLogin login;
  login.identity_token = StringAt(entry, "identitytoken");
  login.username = StringAt(entry, "username");
  login.password = StringAt(entry, "password");
  std::string both;
  if (absl::Base64Unescape(StringAt(entry, "auth"), &both)) {
    const size_t colon = both.find(':');
    if (colon != std::string::npos) {
      login.username = both.substr(0, colon);
      login.password = both.substr(colon + 1);
    }
  }
  return login;
}

}  // namespace

std::string DockerConfig::DefaultPath() {
  if (const char* directory = ::getenv("DOCKER_CONFIG"); directory && *directory != '\0') {
    return absl::StrCat(directory, "/config.json");
  }
  const char* home = ::getenv("HOME");
  return absl::StrCat(home != nullptr && *home != '\0' ? home : "/root", "/.docker/config.json");
}

absl::StatusOr<DockerConfig> DockerConfig::Load(std::string path) {
  absl::StatusOr<std::string> text = ReadFile(path, kMaxConfigBytes);
  if (absl::IsNotFound(text.status())) return DockerConfig(std::move(path), Json::object());
  BERTH_RETURN_IF_ERROR(text.status()) << "read the logins";
  BERTH_ASSIGN_OR_RETURN(Json json, ParseJson(*text), _ << path);
  if (!json.is_object()) return absl::InvalidArgumentError(absl::StrCat(path, " is no object"));
  return DockerConfig(std::move(path), std::move(json));
}

std::string DockerConfig::HelperFor(const std::string& key) const {
  if (const Json* helpers = client::Find(json_, "credHelpers"); helpers != nullptr) {
    const std::string helper = StringAt(*helpers, key == kHubKey ? "docker.io" : key.c_str());
    if (!helper.empty()) return helper;
    if (const std::string by_key = StringAt(*helpers, key.c_str()); !by_key.empty()) return by_key;
  }
  return StringAt(json_, "credsStore");
}

absl::StatusOr<RegistryLogin> DockerConfig::Find(absl::string_view host) const {
  const std::string key = KeyOf(host);
  if (const std::string helper = HelperFor(key); !helper.empty()) {
    const absl::StatusOr<std::string> answer = RunHelper(helper, "get", key);
    if (answer.ok()) {
      BERTH_ASSIGN_OR_RETURN(const Json json, ParseJson(*answer), _ << "credential helper");
      RegistryLogin login;
      login.username = StringAt(json, "Username");
      (login.username == kTokenUser ? login.identity_token : login.password) =
          StringAt(json, "Secret");
      if (login.username == kTokenUser) login.username.clear();
      return login;
    }
    if (!absl::IsNotFound(answer.status())) return answer.status();
  }
  const Json* auths = client::Find(json_, "auths");
  if (auths == nullptr || !auths->is_object()) return RegistryLogin();
  if (const Json* entry = client::Find(*auths, key.c_str())) return FromEntry(*entry);
  for (const auto& [stored, entry] : auths->items()) {
    if (HostOfKey(stored) == HostOfKey(key)) return FromEntry(entry);
  }
  return RegistryLogin();
}

absl::StatusOr<std::string> DockerConfig::Store(absl::string_view host,
                                                const RegistryLogin& login) {
  const std::string key = KeyOf(host);
  Json& auths = json_["auths"];
  if (!auths.is_object()) auths = Json::object();
  if (const std::string helper = HelperFor(key); !helper.empty()) {
    const bool is_token = !login.identity_token.empty();
    const Json entry = {{"ServerURL", key},
                        {"Username", is_token ? kTokenUser : login.username},
                        {"Secret", is_token ? login.identity_token : login.password}};
    BERTH_RETURN_IF_ERROR(RunHelper(helper, "store", entry.dump()).status()) << "store the login";
    auths[key] = Json::object();  // as Docker notes that the helper has it
    BERTH_RETURN_IF_ERROR(Save());
    return absl::StrCat("the credential helper ", helper);
  }
  Json entry = Json::object();
  if (!login.identity_token.empty()) {
    entry["auth"] = absl::Base64Escape(absl::StrCat(login.username, ":"));
    entry["identitytoken"] = login.identity_token;
  } else {
    entry["auth"] = absl::Base64Escape(absl::StrCat(login.username, ":", login.password));
  }
  auths[key] = std::move(entry);
  BERTH_RETURN_IF_ERROR(Save());
  return path_;
}

absl::StatusOr<bool> DockerConfig::Erase(absl::string_view host) {
  const std::string key = KeyOf(host);
  bool erased = false;
  if (const std::string helper = HelperFor(key); !helper.empty()) {
    const absl::Status status = RunHelper(helper, "erase", key).status();
    if (!status.ok() && !absl::IsNotFound(status)) return status;
    erased = status.ok();
  }
  if (auto auths = json_.find("auths"); auths != json_.end() && auths->is_object()) {
    std::vector<std::string> keys;
    for (const auto& [stored, entry] : auths->items()) {
      if (HostOfKey(stored) == HostOfKey(key)) keys.push_back(stored);
    }
    for (const std::string& stored : keys) auths->erase(stored);
    erased = erased || !keys.empty();
    if (!keys.empty()) {
      BERTH_RETURN_IF_ERROR(Save());
    }
  }
  return erased;
}

absl::Status DockerConfig::Save() const {
  const std::filesystem::path path(path_);
  BERTH_RETURN_IF_ERROR(EnsureDirectory(path.parent_path().string(), 0700));
  return Annotate(
      ReplaceFileAt(BorrowedFd(AT_FDCWD), path_, json_.dump(8) + "\n", 0600, Durability::kSynced),
      "write the logins");
}

}  // namespace berth::client
