#include <gtest/gtest.h>

#include "client/options/create_request.h"
#include "client/options/mount_syntax.h"
#include "client/options/value_syntax.h"

namespace berth::client {
namespace {

namespace engine = ::berth::engine::v1;

std::string Error(const absl::Status& status) { return std::string(status.message()); }

TEST(VolumeOptionTest, PathsVolumesAndAnonymousOnes) {
  auto bind = ParseVolumeOption("./src:/app:ro,rslave", "/home");
  ASSERT_TRUE(bind.ok()) << bind.status();
  EXPECT_EQ(bind->type(), engine::Mount::TYPE_BIND);
  EXPECT_EQ(bind->source(), "/home/./src");
  EXPECT_TRUE(bind->read_only() && bind->create_source());
  EXPECT_EQ(bind->propagation(), "rslave");
  auto named = ParseVolumeOption("data:/var/lib:nocopy", "/");
  ASSERT_TRUE(named.ok()) << named.status();
  EXPECT_EQ(named->type(), engine::Mount::TYPE_VOLUME);
  EXPECT_TRUE(named->no_copy());
  EXPECT_EQ(ParseVolumeOption("/data", "/")->target(), "/data");
  for (const char* text :
       {"", ":/b", "/a:b", "/a:/", "/a:/b:bogus", "/a:/b:ro:x", "x:/b", "a b:/c"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(ParseVolumeOption(text, "/").status())) << text;
  }
}

TEST(MountOptionTest, EveryTypeHasItsKeys) {
  auto bind =
      ParseMountOption("type=bind,src=/a,\"dst=/b,c\",readonly,bind-recursive=readonly", "/");
  ASSERT_TRUE(bind.ok()) << bind.status();
  EXPECT_EQ(bind->target(), "/b,c");
  EXPECT_TRUE(bind->read_only() && bind->read_only_force_recursive());
  auto volume = ParseMountOption("volume-subpath=x,source=vol,target=/v,volume-label=a=b", "/");
  ASSERT_TRUE(volume.ok()) << volume.status();
  EXPECT_EQ(volume->subpath(), "x");
  EXPECT_EQ(volume->volume_labels().at("a"), "b");
  auto tmpfs = ParseMountOption("type=tmpfs,target=/t,tmpfs-size=64m,tmpfs-mode=0700", "/");
  ASSERT_TRUE(tmpfs.ok()) << tmpfs.status();
  EXPECT_EQ(tmpfs->tmpfs_size_bytes(), 64 << 20);
  EXPECT_EQ(tmpfs->tmpfs_mode(), 0700u);
}

TEST(MountOptionTest, FaultsAreNamed) {
  EXPECT_EQ(Error(ParseMountOption("type=bind,source=/a", "/").status()), "target is missing");
  EXPECT_EQ(Error(ParseMountOption("type=bind,target=/a", "/").status()), "a bind wants a source");
  EXPECT_EQ(Error(ParseMountOption("type=nfs,target=/a", "/").status()),
            "the type is bind, volume or tmpfs, not \"nfs\"");
  EXPECT_EQ(Error(ParseMountOption("type=bind,src=/a,dst=/b,tmpfs-size=1", "/").status()),
            "\"tmpfs-size\" does not go with this type of mount");
  EXPECT_EQ(Error(ParseMountOption("target=/b,colour=1", "/").status()), "unknown key \"colour\"");
}

TEST(ValueSyntaxTest, Limits) {
  auto limit = ParseUlimit("nofile=1024:2048");
  ASSERT_TRUE(limit.ok());
  EXPECT_EQ(limit->soft(), 1024);
  EXPECT_EQ(limit->hard(), 2048);
  EXPECT_EQ(ParseUlimit("core=-1")->hard(), -1);
  for (const char* text :
       {"nofile", "files=1", "nofile=2:1", "nofile=-1:5", "nofile=a", "nofile=1:2:3"}) {
    EXPECT_FALSE(ParseUlimit(text).ok()) << text;
  }
  EXPECT_EQ(*ParseNanoCpus("1.5"), 1'500'000'000);
  EXPECT_FALSE(ParseNanoCpus("-1").ok());
  EXPECT_FALSE(ParseNanoCpus("nan").ok());
  EXPECT_EQ(*ParseByteSizeOrUnlimited("-1"), -1);
  EXPECT_EQ(*ParseByteSize("1.5g"), 3LL << 29);
}

TEST(ValueSyntaxTest, Devices) {
  EXPECT_EQ(ParseDevice("/dev/null:/dev/x:r")->container_path(), "/dev/x");
  EXPECT_EQ(ParseDevice("/dev/null:rw")->permissions(), "rw");
  for (const char* text : {"null", "/dev/null:x", "/dev/a:/b:q", "/dev/a:/b:r:w"}) {
    EXPECT_FALSE(ParseDevice(text).ok()) << text;
  }
  EXPECT_EQ(ParseThrottleBytes("/dev/sda:1mb")->rate(), 1u << 20);
  EXPECT_FALSE(ParseThrottleOperations("/dev/sda:1mb").ok());
  EXPECT_FALSE(ParseWeightDevice("/dev/sda:5").ok());
}

TEST(ValueSyntaxTest, RestartPolicies) {
  EXPECT_EQ(ParseRestartPolicy("on-failure:3")->maximum_retry_count(), 3);
  EXPECT_EQ(ParseRestartPolicy("unless-stopped")->name(), "unless-stopped");
  for (const char* text : {"sometimes", "always:3", "on-failure:x", "on-failure:-1"}) {
    EXPECT_FALSE(ParseRestartPolicy(text).ok()) << text;
  }
}

TEST(ValueSyntaxTest, Ports) {
  auto ports = ParsePort("127.0.0.1:8080-8081:80-81/udp");
  ASSERT_TRUE(ports.ok()) << ports.status();
  ASSERT_EQ(ports->size(), 2u);
  EXPECT_EQ((*ports)[1].container_port(), "81/udp");
  EXPECT_EQ((*ports)[1].host_port(), "8081");
  EXPECT_EQ((*ports)[0].host_ip(), "127.0.0.1");
  EXPECT_EQ((*ParsePort("[::1]::80"))[0].host_ip(), "::1");
  for (const char* text : {"", "80/x", "1:2:3:4", "70000", "1-2:80", "x:80:80"}) {
    EXPECT_FALSE(ParsePort(text).ok()) << text;
  }
}

TEST(ValueSyntaxTest, Times) {
  EXPECT_EQ(*ParseDuration("1m30s"), absl::Seconds(90));
  EXPECT_FALSE(ParseDuration("-1s").ok());
  EXPECT_FALSE(ParseDuration("30").ok());
  const absl::Time now = absl::FromUnixSeconds(1000);
  EXPECT_EQ(*ParseMoment("10m", now), now - absl::Minutes(10));
  EXPECT_EQ(*ParseMoment("17.5", now), absl::FromUnixMillis(17'500));
  EXPECT_EQ(*ParseMoment("1970-01-01T00:00:05Z", now), absl::FromUnixSeconds(5));
  EXPECT_FALSE(ParseMoment("yesterday", now).ok());
  EXPECT_EQ(*ParseExtraHost("db=[::1]"), "db:::1");
  EXPECT_FALSE(ParseExtraHost("db:nowhere").ok());
}

// The error, or "".
std::string Refusal(const CreateOptions& options) {
  return Error(MakeCreateRequest(options, {.working_directory = "/w", .environment = {}}).status());
}

TEST(CreateRequestTest, WordsBecomeTheRequest) {
  CreateOptions options;
  options.words = {"busybox", "ls", "-l"};
  options.environment = {"A=1", "HOME", "GONE"};
  options.memory = "64m";
  options.cpus = "0.5";
  options.volumes = {"/anonymous", "data:/d"};
  options.entrypoint = "";
  options.health_command = "true";
  options.health_interval = "1500ms";
  auto request = MakeCreateRequest(
      options, {.working_directory = "/w", .environment = {{"HOME", "/home/me"}}});
  ASSERT_TRUE(request.ok()) << request.status();
  const engine::ContainerConfig& config = request->config();
  EXPECT_EQ(config.image(), "busybox");
  EXPECT_EQ(config.command_size(), 2);
  EXPECT_EQ(config.environment(1), "HOME=/home/me");
  EXPECT_EQ(config.environment(2), "GONE");
  EXPECT_TRUE(config.clear_entrypoint());
  ASSERT_EQ(config.anonymous_volumes_size(), 1);
  EXPECT_EQ(config.healthcheck().test(0), "CMD-SHELL");
  EXPECT_EQ(config.healthcheck().interval().nanos(), 500'000'000);
  EXPECT_EQ(request->host_config().resources().memory_bytes(), 64 << 20);
  EXPECT_EQ(request->host_config().resources().nano_cpus(), 500'000'000);
  ASSERT_EQ(request->host_config().mounts_size(), 1);
  EXPECT_EQ(request->host_config().mounts(0).source(), "data");
}

TEST(CreateRequestTest, RefusalsNameOptionAndValue) {
  const auto with = [](auto change) {
    CreateOptions options;
    options.words = {"busybox"};
    change(options);
    return Refusal(options);
  };
  EXPECT_EQ(with([](CreateOptions& o) { o.memory = "much"; }).substr(0, 37),
            "\"much\" is no value for --memory: \"muc");
  EXPECT_EQ(with([](CreateOptions& o) { o.ulimits = {"nofile=2:1"}; }),
            "\"nofile=2:1\" is no value for --ulimit: the soft limit 2 is above the hard limit 1");
  EXPECT_EQ(with([](CreateOptions& o) {
              o.volumes = {"/a:/x", "/b:/x/"};
            }),
            "Duplicate mount point: /x/");
  EXPECT_EQ(with([](CreateOptions& o) { o.removes = true, o.restart = "always"; }).substr(0, 27),
            "--rm contradicts --restart:");
  EXPECT_EQ(with([](CreateOptions& o) { o.has_no_healthcheck = true, o.health_command = "x"; }),
            "--no-healthcheck contradicts the --health options");
  EXPECT_NE(with([](CreateOptions& o) { o.ipc = "some"; }), "");
  EXPECT_NE(with([](CreateOptions& o) { o.pull = "often"; }), "");
  EXPECT_NE(with([](CreateOptions& o) { o.security_options = {"magic"}; }), "");
  EXPECT_NE(with([](CreateOptions& o) { o.security_options = {"seccomp=/nonexistent"}; }), "");
  EXPECT_NE(with([](CreateOptions& o) { o.environment_files = {"/nonexistent"}; }), "");
  EXPECT_NE(with([](CreateOptions& o) { o.environment = {"=x"}; }), "");
  EXPECT_NE(with([](CreateOptions& o) { o.stop_signal = "WHAT"; }), "");
  EXPECT_NE(with([](CreateOptions& o) { o.cpus = "1", o.cpu_quota = 5; }), "");
  EXPECT_NE(with([](CreateOptions& o) { o.blkio_weight = 5; }), "");
}

}  // namespace
}  // namespace berth::client
