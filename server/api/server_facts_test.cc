// Version, Introspection and Health over an in-process channel.
#include <grpcpp/grpcpp.h>

#include <memory>

#include "base/grpc/executor.h"
#include "gtest/gtest.h"
#include "server/api/health_service.h"
#include "server/api/introspection_service.h"
#include "server/api/version_service.h"

namespace berth {
namespace {

using containerd::services::introspection::v1::Introspection;
using containerd::services::version::v1::Version;
using containerd::services::version::v1::VersionResponse;
using grpc::health::v1::Health;
using Plugin = IntrospectionService::Plugin;

Plugin MakePlugin(const char* type, const char* id) {
  Plugin plugin;
  plugin.set_type(type);
  plugin.set_id(id);
  return plugin;
}

std::vector<Plugin> Plugins() {
  Plugin overlayfs = MakePlugin("io.containerd.snapshotter.v1", "overlayfs");
  overlayfs.add_capabilities("rebase");
  return {overlayfs, MakePlugin("io.containerd.snapshotter.v1", "native"),
          MakePlugin("io.containerd.runtime.v2", "task")};
}

class ServerFactsTest : public testing::Test {
 protected:
  ServerFactsTest()
      : executor_(1, 16),
        version_("1.2.3", "abc"),
        health_({"containerd.services.tasks.v1.Tasks"}),
        introspection_(Plugins(), {"a-uuid", 42, 7}, executor_) {
    grpc::ServerBuilder builder;
    builder.RegisterService(&version_);
    builder.RegisterService(&health_);
    builder.RegisterService(&introspection_);
    server_ = builder.BuildAndStart();
    channel_ = server_->InProcessChannel({});
  }
  ~ServerFactsTest() override {
    server_->Shutdown(std::chrono::system_clock::now() + std::chrono::seconds(5));
    executor_.Stop();
  }
  // The ids of the plugins that `filters` let through, joined; or the error code.
  std::string Ids(const std::vector<std::string>& filters) {
    grpc::ClientContext context;
    IntrospectionService::PluginsRequest request;
    for (const std::string& filter : filters) request.add_filters(filter);
    IntrospectionService::PluginsResponse response;
    const grpc::Status status =
        Introspection::NewStub(channel_)->Plugins(&context, request, &response);
    if (!status.ok()) return "code " + std::to_string(status.error_code());
    std::string ids;
    for (const Plugin& plugin : response.plugins()) ids += plugin.id() + " ";
    return ids;
  }
  grpc::Status Check(const std::string& service, HealthService::Response* response) {
    grpc::ClientContext context;
    HealthService::Request request;
    request.set_service(service);
    return Health::NewStub(channel_)->Check(&context, request, response);
  }

  Executor executor_;
  VersionService version_;
  HealthService health_;
  IntrospectionService introspection_;
  std::unique_ptr<grpc::Server> server_;
  std::shared_ptr<grpc::Channel> channel_;
};

TEST_F(ServerFactsTest, VersionNeedsNoNamespace) {
  grpc::ClientContext context;
  VersionResponse response;
  ASSERT_TRUE(Version::NewStub(channel_)->Version(&context, {}, &response).ok());
  EXPECT_EQ(response.version(), "1.2.3");
  EXPECT_EQ(response.revision(), "abc");
}

TEST_F(ServerFactsTest, PluginFiltersSelectByTypeIdAndCapability) {
  EXPECT_EQ(Ids({}), "overlayfs native task ");
  EXPECT_EQ(Ids({"type==io.containerd.snapshotter.v1, id==native"}), "native ");
  EXPECT_EQ(Ids({"capabilities~=rebase", "id==task"}), "overlayfs task ");
  EXPECT_EQ(Ids({"type==x"}), "");
  EXPECT_EQ(Ids({"type=="}), "code 3");
}

TEST_F(ServerFactsTest, PluginInfoFindsOneOrSaysNotFound) {
  for (const auto& [id, code] :
       {std::pair("native", grpc::StatusCode::OK), std::pair("zfs", grpc::StatusCode::NOT_FOUND)}) {
    grpc::ClientContext context;
    IntrospectionService::PluginInfoRequest request;
    request.set_type("io.containerd.snapshotter.v1");
    request.set_id(id);
    IntrospectionService::PluginInfoResponse response;
    EXPECT_EQ(
        Introspection::NewStub(channel_)->PluginInfo(&context, request, &response).error_code(),
        code);
  }
}

TEST_F(ServerFactsTest, ServerTellsItsIdentity) {
  grpc::ClientContext context;
  IntrospectionService::ServerResponse response;
  ASSERT_TRUE(Introspection::NewStub(channel_)->Server(&context, {}, &response).ok());
  EXPECT_EQ(response.uuid(), "a-uuid");
  EXPECT_EQ(response.pid(), 42u);
  EXPECT_EQ(response.pidns(), 7u);
}

TEST_F(ServerFactsTest, HealthKnowsTheServerAndItsServices) {
  HealthService::Response response;
  ASSERT_TRUE(Check("", &response).ok());
  EXPECT_EQ(response.status(), HealthService::Response::NOT_SERVING);
  health_.SetStatus(HealthService::Response::SERVING);
  ASSERT_TRUE(Check("containerd.services.tasks.v1.Tasks", &response).ok());
  EXPECT_EQ(response.status(), HealthService::Response::SERVING);
  EXPECT_EQ(Check("nobody", &response).error_code(), grpc::StatusCode::NOT_FOUND);
}

TEST_F(ServerFactsTest, WatchBeginsWithTheStateAndHearsChangesUntilTheEnd) {
  grpc::ClientContext context;
  auto reader = Health::NewStub(channel_)->Watch(&context, {});
  HealthService::Response response;
  ASSERT_TRUE(reader->Read(&response));
  EXPECT_EQ(response.status(), HealthService::Response::NOT_SERVING);
  health_.SetStatus(HealthService::Response::SERVING);
  ASSERT_TRUE(reader->Read(&response));
  EXPECT_EQ(response.status(), HealthService::Response::SERVING);
  health_.Close();
  EXPECT_FALSE(reader->Read(&response));
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
}

}  // namespace
}  // namespace berth
