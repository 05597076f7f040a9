// The client against Debian's docker-registry: in the clear, over TLS, with a password, and killed
// in the middle.
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/digest/hasher.h"
#include "base/os/fd_factories.h"
#include "base/os/file_io.h"
#include "base/os/spawn.h"
#include "base/status/check.h"
#include "gtest/gtest.h"
#include "server/registry/fetch.h"
#include "server/registry/push.h"
#include "server/registry/resolve.h"

namespace berth::registry {
namespace {

constexpr char kProgram[] = "/usr/bin/docker-registry";
constexpr char kManifestType[] = "application/vnd.docker.distribution.manifest.v2+json";

sockaddr_in Loopback(uint16_t port) {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

// Nobody's at the moment.
uint16_t FreePort() {
  const UniqueFd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address = Loopback(0);
  socklen_t size = sizeof(address);
  BERTH_CHECK(::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), size) == 0);
  BERTH_CHECK(::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &size) == 0);
  return ntohs(address.sin_port);
}

void Shell(const std::string& command) { ASSERT_EQ(::system(command.c_str()), 0) << command; }

class DockerRegistryTest : public ::testing::Test {
 protected:
  DockerRegistryTest() {
    char name[] = "/tmp/berth-registry-XXXXXX";
    directory_ = ::mkdtemp(name);
    port_ = FreePort();
    origin_.set_registry(address());
    origin_.set_repository("team/app");
    worker::v1::Host& host = *origin_.add_hosts();
    host.set_host(address());
    host.set_can_pull(true);
    host.set_can_resolve(true);
    host.set_can_push(true);
    host.set_can_refer(true);
  }
  ~DockerRegistryTest() override {
    process_ = ChildProcess();  // kills and reaps
    std::filesystem::remove_all(directory_);
  }

  std::string address() const { return absl::StrCat("127.0.0.1:", port_); }
  worker::v1::Host& host() { return *origin_.mutable_hosts(0); }

  // `extra`: more of its configuration, such as "  tls: ..." below http, or "auth: ...".
  void Start(const std::string& extra = "") {
    std::ofstream(directory_ + "/config.yml")
        << "version: 0.1\nlog:\n  level: error\nstorage:\n  filesystem:\n    rootdirectory: "
        << directory_ << "/store\n  delete:\n    enabled: true\nhttp:\n  addr: " << address()
        << "\n"
        << extra;
    Launch();
  }
  void Launch() {
    SpawnOptions options;
    options.executable = kProgram;
    options.arguments = {"docker-registry", "serve", directory_ + "/config.yml"};
    options.environment = {"PATH=/usr/bin", "OTEL_TRACES_EXPORTER=none"};
    auto process = Spawn(options);
    ASSERT_TRUE(process.ok()) << process.status();
    process_ = *std::move(process);
    const absl::Time deadline = absl::Now() + absl::Seconds(30);
    for (;;) {
      const UniqueFd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
      const sockaddr_in address = Loopback(port_);
      if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) ==
          0) {
        return;
      }
      ASSERT_LT(absl::Now(), deadline) << "docker-registry does not listen";
      absl::SleepFor(absl::Milliseconds(20));  // tidy: allow(sleep) polls, bounded
    }
  }
  void Kill() {
    ASSERT_TRUE(process_.Signal(SIGKILL).ok());
    ASSERT_TRUE(process_.Wait(absl::Seconds(10)).ok());
  }

  absl::StatusOr<worker::v1::PushResponse> PushBlob(const std::string& bytes,
                                                    const std::string& mount_from = "") {
    const std::string path = directory_ + "/blob";
    std::ofstream(path) << bytes;
    worker::v1::PushRequest request;
    *request.mutable_origin() = origin_;
    request.mutable_target()->set_digest(HashString(bytes).text());
    request.mutable_target()->set_size(static_cast<int64_t>(bytes.size()));
    if (!mount_from.empty()) request.add_mount_from(mount_from);
    return Push(request, *OpenFile(path, O_RDONLY), context_, [](uint64_t, uint64_t) {});
  }
  absl::Status PushImage(const std::string& layer, const std::string& tag) {
    const std::string config = "{}";
    for (const std::string* blob : {&layer, &config}) {
      const auto pushed = PushBlob(*blob);
      if (!pushed.ok()) return pushed.status();
    }
    const auto descriptor = [](const char* type, const std::string& bytes) {
      return absl::StrCat("{\"mediaType\":\"", type, "\",\"size\":", bytes.size(), ",\"digest\":\"",
                          HashString(bytes).text(), "\"}");
    };
    manifest_ = absl::StrCat(
        "{\"schemaVersion\":2,\"mediaType\":\"", kManifestType,
        "\",\"config\":", descriptor("application/vnd.docker.container.image.v1+json", config),
        ",\"layers\":[", descriptor("application/vnd.docker.image.rootfs.diff.tar.gzip", layer),
        "]}");
    worker::v1::PushManifestRequest request;
    *request.mutable_origin() = origin_;
    request.mutable_target()->set_digest(HashString(manifest_).text());
    request.mutable_target()->set_size(static_cast<int64_t>(manifest_.size()));
    request.mutable_target()->set_media_type(kManifestType);
    request.set_tag(tag);
    return PushManifest(request, manifest_, context_).status();
  }
  absl::StatusOr<worker::v1::ResolveResponse> Ask(const std::string& object) {
    worker::v1::ResolveRequest request;
    *request.mutable_origin() = origin_;
    request.set_object(object);
    return Resolve(request, context_);
  }
  // `on_progress` may be empty.
  absl::StatusOr<worker::v1::FetchResponse> FetchBlob(
      const std::string& bytes, absl::AnyInvocable<void(uint64_t)> on_progress = nullptr) {
    worker::v1::FetchRequest request;
    *request.mutable_origin() = origin_;
    request.mutable_target()->set_digest(HashString(bytes).text());
    request.mutable_target()->set_size(static_cast<int64_t>(bytes.size()));
    UploadObserver observer;
    observer.on_progress = [&](uint64_t offset, uint64_t) {
      if (on_progress) on_progress(offset);
    };
    observer.on_restart = [] {};
    return Fetch(request, *OpenFile(directory_ + "/upload", O_RDWR | O_CREAT, 0600),
                 std::move(observer), context_);
  }

  std::string directory_;
  uint16_t port_ = 0;
  ChildProcess process_;
  worker::v1::Origin origin_;
  std::string manifest_;
  Session session_;
  std::atomic<bool> cancelled_{false};
  const Context context_{session_, cancelled_};
};

std::string Filled(size_t size) {
  std::string bytes(size, '\0');
  for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>(i * 7 + i / 4096);
  return bytes;
}

TEST_F(DockerRegistryTest, WhatIsPushedComesBack) {
  Start();
  const std::string layer = Filled(20 << 20);
  ASSERT_TRUE(PushImage(layer, "v1").ok()) << PushImage(layer, "v1");
  EXPECT_EQ(PushBlob(layer)->how(), worker::v1::PushResponse::EXISTED);
  for (const std::string& object : {std::string("v1"), HashString(manifest_).text()}) {
    const auto resolved = Ask(object);
    ASSERT_TRUE(resolved.ok()) << resolved.status();
    EXPECT_EQ(resolved->content(), manifest_);
    EXPECT_EQ(resolved->target().media_type(), kManifestType);
  }
  const absl::Status missing = Ask("v2").status();
  EXPECT_EQ(missing.code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(absl::StrContains(missing.message(), "MANIFEST_UNKNOWN")) << missing;
  ASSERT_TRUE(FetchBlob(layer).ok()) << FetchBlob(layer).status();
  EXPECT_TRUE(*ReadFile(directory_ + "/upload") == layer);
  worker::v1::TagsRequest tags;
  *tags.mutable_origin() = origin_;
  EXPECT_EQ(Tags(tags, context_)->tags(0), "v1");
  // In another repository it is mounted.
  origin_.set_repository("team/other");
  EXPECT_EQ(PushBlob(layer, "team/app")->how(), worker::v1::PushResponse::MOUNTED);
}

TEST_F(DockerRegistryTest, ARegistryThatIsKilledAndComesBackCostsNoByte) {
  Start();
  const std::string layer = Filled(24 << 20);
  ASSERT_TRUE(PushImage(layer, "v1").ok());
  int kills = 0;
  const auto response = FetchBlob(layer, [&](uint64_t offset) {
    if (offset < static_cast<uint64_t>(kills + 1) * (6 << 20) || kills == 3) return;
    ++kills;
    Kill();
    Launch();
  });
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(kills, 3);
  EXPECT_TRUE(*ReadFile(directory_ + "/upload") == layer);
  EXPECT_EQ(response->fetched(), static_cast<int64_t>(layer.size()));
}

TEST_F(DockerRegistryTest, CertificatesAreCheckedAgainstTheGivenAuthority) {
  Shell(absl::StrCat(
      "cd ", directory_, " && openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem",
      " -days 2 -subj '/CN=berth test authority' 2>/dev/null",
      " && openssl req -newkey rsa:2048 -nodes -keyout key.pem -out csr.pem -subj '/CN=x'",
      " 2>/dev/null && printf 'subjectAltName=IP:127.0.0.1' > ext",
      " && openssl x509 -req -in csr.pem -CA ca.pem -CAkey ca.key -CAcreateserial -days 2",
      " -extfile ext -out cert.pem 2>/dev/null"));
  Start(absl::StrCat("  tls:\n    certificate: ", directory_, "/cert.pem\n    key: ", directory_,
                     "/key.pem\n"));
  const absl::Status untrusted = PushImage("layer", "v1");
  EXPECT_EQ(untrusted.code(), absl::StatusCode::kFailedPrecondition) << untrusted;
  EXPECT_TRUE(absl::StrContains(untrusted.message(), "hosts.toml")) << untrusted;
  host().mutable_tls()->set_authorities(*ReadFile(directory_ + "/ca.pem"));
  EXPECT_TRUE(PushImage("layer", "v1").ok()) << PushImage("layer", "v1");
  EXPECT_TRUE(FetchBlob("layer").ok());
  host().mutable_tls()->clear_authorities();
  EXPECT_EQ(Ask("v1").status().code(), absl::StatusCode::kFailedPrecondition);
  host().mutable_tls()->set_skip_verify(true);
  EXPECT_TRUE(Ask("v1").ok());
  host().set_scheme("http");
  EXPECT_FALSE(Ask("v1").ok());
}

TEST_F(DockerRegistryTest, PasswordsAreAskedFor) {
  Shell(absl::StrCat("htpasswd -Bbn ana secret > ", directory_, "/htpasswd"));
  Start(absl::StrCat("auth:\n  htpasswd:\n    realm: test\n    path: ", directory_, "/htpasswd\n"));
  EXPECT_EQ(PushImage("layer", "v1").code(), absl::StatusCode::kUnauthenticated);
  host().mutable_credentials()->set_username("ana");
  host().mutable_credentials()->set_secret("wrong");
  worker::v1::CheckLoginRequest login;
  *login.mutable_origin() = origin_;
  EXPECT_EQ(CheckLogin(login, context_).status().code(), absl::StatusCode::kUnauthenticated);
  host().mutable_credentials()->set_secret("secret");
  *login.mutable_origin() = origin_;
  EXPECT_TRUE(CheckLogin(login, context_).ok());
  EXPECT_TRUE(PushImage("layer", "v1").ok()) << PushImage("layer", "v1");
  EXPECT_TRUE(Ask("v1").ok());
  EXPECT_TRUE(FetchBlob("layer").ok());
}

}  // namespace
}  // namespace berth::registry
