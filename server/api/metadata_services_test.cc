// Namespaces, Containers, Images and Leases over an in-process channel, with their events.
#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/grpc/executor.h"
#include "base/os/mutex.h"
#include "gtest/gtest.h"
#include "server/api/containers_service.h"
#include "server/api/images_service.h"
#include "server/api/leases_service.h"
#include "server/api/namespaces_service.h"
#include "server/gc/collector.h"
#include "server/metadata/test_database.h"

namespace berth {
namespace {

using containerd::services::containers::v1::Containers;
using containerd::services::images::v1::Images;
using containerd::services::leases::v1::Leases;
using containerd::services::namespaces::v1::Namespaces;

class RecordingSink final : public EventSink {
 public:
  void Publish(absl::string_view ns, absl::string_view topic,
               const google::protobuf::Message& event) override {
    MutexLock lock(&mutex_);
    lines_.push_back(
        absl::StrCat(ns, " ", topic, " ", event.GetTypeName(), " ", event.ShortDebugString()));
  }
  std::vector<std::string> Take() {
    MutexLock lock(&mutex_);
    return std::exchange(lines_, {});
  }

 private:
  Mutex mutex_;
  std::vector<std::string> lines_;
};

class MetadataServicesTest : public testing::Test {
 protected:
  MetadataServicesTest() {
    grpc::ServerBuilder builder;
    builder.RegisterService(&namespaces_service_);
    builder.RegisterService(&containers_service_);
    builder.RegisterService(&images_service_);
    builder.RegisterService(&leases_service_);
    page_streams_ = std::make_unique<PageStreams>(builder, executor_);
    server_ = builder.BuildAndStart();
    page_streams_->Start({containers_service_.ListStreamMethod()});
    const auto channel = server_->InProcessChannel({});
    namespaces_ = Namespaces::NewStub(channel);
    containers_ = Containers::NewStub(channel);
    images_ = Images::NewStub(channel);
    leases_ = Leases::NewStub(channel);
    scheduler_.Start([this](absl::Time now) { return collector_.Collect(now); });
  }
  ~MetadataServicesTest() override {
    server_->Shutdown(std::chrono::system_clock::now() + std::chrono::seconds(5));
    page_streams_->Stop();  // what waits in its queue names the server
    executor_.Stop();
    scheduler_.Stop();
  }

  grpc::Status CreateContainer(const std::string& id, const std::string& ns = "default") {
    ContainersService::CreateRequest request;
    auto& container = *request.mutable_container();
    container.set_id(id);
    container.set_image("busybox");
    container.mutable_runtime()->set_name("io.containerd.runc.v2");
    container.mutable_runtime()->mutable_options()->set_type_url("o");
    container.mutable_spec()->set_value("{}");
    (*container.mutable_labels())["a"] = "1";
    grpc::ClientContext context;
    if (!ns.empty()) context.AddMetadata("containerd-namespace", ns);
    ContainersService::CreateResponse response;
    return containers_->Create(&context, request, &response);
  }
  template <typename Function>
  grpc::Status InNamespace(Function function, const std::string& ns = "default") {
    grpc::ClientContext context;
    if (!ns.empty()) context.AddMetadata("containerd-namespace", ns);
    return function(&context);
  }
  grpc::Status CreateImage(const std::string& name) {
    ImagesService::CreateRequest request;
    request.mutable_image()->set_name(name);
    auto& target = *request.mutable_image()->mutable_target();
    target.set_digest(absl::StrCat("sha256:", std::string(64, 'a')));
    target.set_size(1);
    target.set_media_type("m");
    request.mutable_source_date_epoch()->set_seconds(5);
    ImagesService::CreateResponse response;
    const grpc::Status status =
        InNamespace([&](auto* context) { return images_->Create(context, request, &response); });
    if (status.ok()) {
      EXPECT_EQ(response.image().created_at().seconds(), 5);
    }
    return status;
  }

  metadata::TestDatabase database_;
  Executor executor_{2, 16};
  RecordingSink sink_;
  const Logger log_{LogLevel::kFatal, LogFormat::kText};
  std::unique_ptr<PageStreams> page_streams_;
  gc::Scheduler scheduler_{{.startup_delay = absl::Hours(1)}, log_};
  metadata::NamespaceStore namespace_store_{*database_};
  metadata::ContainerStore container_store_{*database_};
  metadata::ImageStore image_store_{*database_};
  metadata::LeaseStore lease_store_{*database_};
  gc::Collector collector_{*database_, {&container_store_, &image_store_, &lease_store_}, sink_};
  NamespacesService namespaces_service_{namespace_store_, sink_, executor_};
  ContainersService containers_service_{container_store_, sink_, executor_};
  ImagesService images_service_{image_store_, sink_, scheduler_, executor_};
  LeasesService leases_service_{lease_store_, scheduler_, executor_};
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<Namespaces::Stub> namespaces_;
  std::unique_ptr<Containers::Stub> containers_;
  std::unique_ptr<Images::Stub> images_;
  std::unique_ptr<Leases::Stub> leases_;
};

TEST_F(MetadataServicesTest, ANamespaceLivesWithoutAHeader) {
  NamespacesService::CreateRequest create;
  create.mutable_namespace_()->set_name("moby");
  (*create.mutable_namespace_()->mutable_labels())["a"] = "1";
  NamespacesService::CreateResponse created;
  const auto without = [](auto function) {
    grpc::ClientContext context;
    return function(&context);
  };
  ASSERT_TRUE(without([&](auto* c) { return namespaces_->Create(c, create, &created); }).ok());
  NamespacesService::UpdateRequest update;
  update.mutable_namespace_()->set_name("moby");
  (*update.mutable_namespace_()->mutable_labels())["b"] = "2";
  update.mutable_update_mask()->add_paths("labels.b");
  NamespacesService::UpdateResponse updated;
  ASSERT_TRUE(without([&](auto* c) { return namespaces_->Update(c, update, &updated); }).ok());
  EXPECT_EQ(updated.namespace_().labels_size(), 2);
  NamespacesService::GetRequest get;
  get.set_name("never-seen");
  NamespacesService::GetResponse got;
  EXPECT_TRUE(without([&](auto* c) { return namespaces_->Get(c, get, &got); }).ok());
  NamespacesService::ListResponse listed;
  ASSERT_TRUE(without([&](auto* c) { return namespaces_->List(c, {}, &listed); }).ok());
  EXPECT_EQ(listed.namespaces_size(), 1);
  NamespacesService::DeleteRequest remove;
  remove.set_name("moby");
  google::protobuf::Empty empty;
  ASSERT_TRUE(without([&](auto* c) { return namespaces_->Delete(c, remove, &empty); }).ok());
  const std::vector<std::string> events = sink_.Take();
  ASSERT_EQ(events.size(), 3u);
  EXPECT_EQ(
      events[0],
      "moby /namespaces/create containerd.events.NamespaceCreate name: \"moby\" labels { key: "
      "\"a\" value: \"1\" }");
  EXPECT_EQ(events[1].substr(0, 61),
            "moby /namespaces/update containerd.events.NamespaceUpdate nam");
  EXPECT_EQ(events[2], "moby /namespaces/delete containerd.events.NamespaceDelete name: \"moby\"");
}

TEST_F(MetadataServicesTest, TheOthersNeedTheHeader) {
  const grpc::Status status = CreateContainer("c", "");
  EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_NE(status.error_message().find("namespace is required"), std::string::npos);
  ImagesService::ListResponse images;
  EXPECT_EQ(InNamespace([&](auto* c) { return images_->List(c, {}, &images); }, "").error_code(),
            grpc::StatusCode::FAILED_PRECONDITION);
  LeasesService::ListResponse leases;
  EXPECT_EQ(InNamespace([&](auto* c) { return leases_->List(c, {}, &leases); }, "").error_code(),
            grpc::StatusCode::FAILED_PRECONDITION);
  grpc::ClientContext context;
  auto stream = containers_->ListStream(&context, {});
  ContainersService::ListMessage message;
  EXPECT_FALSE(stream->Read(&message));
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::FAILED_PRECONDITION);
}

TEST_F(MetadataServicesTest, AContainersLifeAndItsEvents) {
  ASSERT_TRUE(CreateContainer("web").ok());
  EXPECT_EQ(CreateContainer("web").error_code(), grpc::StatusCode::ALREADY_EXISTS);
  ContainersService::GetRequest get;
  get.set_id("web");
  ContainersService::GetResponse got;
  ASSERT_TRUE(InNamespace([&](auto* c) { return containers_->Get(c, get, &got); }).ok());
  ContainersService::UpdateRequest update;
  update.mutable_container()->set_id("web");
  update.mutable_container()->set_image("alpine");
  update.mutable_update_mask()->add_paths("image");
  ContainersService::UpdateResponse updated;
  ASSERT_TRUE(InNamespace([&](auto* c) { return containers_->Update(c, update, &updated); }).ok());
  ContainersService::DeleteRequest remove;
  remove.set_id("web");
  google::protobuf::Empty empty;
  ASSERT_TRUE(InNamespace([&](auto* c) { return containers_->Delete(c, remove, &empty); }).ok());
  EXPECT_EQ(
      InNamespace([&](auto* c) { return containers_->Delete(c, remove, &empty); }).error_code(),
      grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(InNamespace([&](auto* c) { return containers_->Get(c, get, &got); }).error_code(),
            grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(
      sink_.Take(),
      (std::vector<std::string>{
          "default /containers/create containerd.events.ContainerCreate id: \"web\" image: "
          "\"busybox\" runtime { name: \"io.containerd.runc.v2\" options { type_url: \"o\" } }",
          "default /containers/update containerd.events.ContainerUpdate id: \"web\" image: "
          "\"alpine\" labels { key: \"a\" value: \"1\" }",
          "default /containers/delete containerd.events.ContainerDelete id: \"web\""}));
}

TEST_F(MetadataServicesTest, BothListsOfContainersAgree) {
  for (const char* id : {"c", "a", "b"}) ASSERT_TRUE(CreateContainer(id).ok());
  ContainersService::ListRequest request;
  request.add_filters("id!=b");
  ContainersService::ListResponse response;
  ASSERT_TRUE(InNamespace([&](auto* c) { return containers_->List(c, request, &response); }).ok());
  grpc::ClientContext context;
  context.AddMetadata("containerd-namespace", "default");
  auto stream = containers_->ListStream(&context, request);
  ContainersService::ListMessage message;
  std::vector<std::string> streamed;
  while (stream->Read(&message)) streamed.push_back(message.container().id());
  EXPECT_TRUE(stream->Finish().ok());
  EXPECT_EQ(streamed, (std::vector<std::string>{"a", "c"}));
  ASSERT_EQ(response.containers_size(), 2);
  EXPECT_EQ(response.containers(0).id(), "a");
  request.add_filters("id=");
  EXPECT_EQ(
      InNamespace([&](auto* c) { return containers_->List(c, request, &response); }).error_code(),
      grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(MetadataServicesTest, AnImagesLifeAndItsEvents) {
  ASSERT_TRUE(CreateImage("busybox").ok());
  EXPECT_EQ(CreateImage("busybox").error_code(), grpc::StatusCode::ALREADY_EXISTS);
  EXPECT_EQ(CreateImage("").error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  ImagesService::UpdateRequest update;
  update.mutable_image()->set_name("busybox");
  (*update.mutable_image()->mutable_labels())["l"] = "v";
  update.mutable_update_mask()->add_paths("labels");
  ImagesService::UpdateResponse updated;
  ASSERT_TRUE(InNamespace([&](auto* c) { return images_->Update(c, update, &updated); }).ok());
  ImagesService::DeleteRequest remove;
  remove.set_name("busybox");
  google::protobuf::Empty empty;
  ASSERT_TRUE(InNamespace([&](auto* c) { return images_->Delete(c, remove, &empty); }).ok());
  EXPECT_EQ(InNamespace([&](auto* c) { return images_->Delete(c, remove, &empty); }).error_code(),
            grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(
      sink_.Take(),
      (std::vector<std::string>{
          "default /images/create containerd.services.images.v1.ImageCreate name: \"busybox\"",
          "default /images/update containerd.services.images.v1.ImageUpdate name: \"busybox\" "
          "labels { key: \"l\" value: \"v\" }",
          "default /images/delete containerd.services.images.v1.ImageDelete name: \"busybox\""}));
}

// The expired lease and the expired image are what only a collection removes.
TEST_F(MetadataServicesTest, ASynchronousDeleteCollectsBeforeItAnswers) {
  for (const bool delete_image : {true, false}) {
    LeasesService::CreateRequest expired;
    expired.set_id("expired");
    (*expired.mutable_labels())["containerd.io/gc.expire"] = "2001-01-01T00:00:00Z";
    LeasesService::CreateResponse created;
    ASSERT_TRUE(InNamespace([&](auto* c) { return leases_->Create(c, expired, &created); }).ok());
    LeasesService::CreateResponse generated;
    ASSERT_TRUE(InNamespace([&](auto* c) { return leases_->Create(c, {}, &generated); }).ok());
    EXPECT_FALSE(generated.lease().id().empty());
    google::protobuf::Empty empty;
    if (delete_image) {
      ASSERT_TRUE(CreateImage("i").ok());
      ImagesService::DeleteRequest remove;
      remove.set_name("i");
      remove.set_sync(true);
      ASSERT_TRUE(InNamespace([&](auto* c) { return images_->Delete(c, remove, &empty); }).ok());
    }
    LeasesService::DeleteRequest remove;
    remove.set_id(generated.lease().id());
    remove.set_sync(!delete_image);
    ASSERT_TRUE(InNamespace([&](auto* c) { return leases_->Delete(c, remove, &empty); }).ok());
    LeasesService::ListResponse left;
    ASSERT_TRUE(InNamespace([&](auto* c) { return leases_->List(c, {}, &left); }).ok());
    EXPECT_EQ(left.leases_size(), 0);
  }
}

TEST_F(MetadataServicesTest, ALeasesResourcesComeBack) {
  LeasesService::CreateRequest create;
  create.set_id("l");
  LeasesService::CreateResponse created;
  ASSERT_TRUE(InNamespace([&](auto* c) { return leases_->Create(c, create, &created); }).ok());
  LeasesService::AddResourceRequest add;
  add.set_id("l");
  add.mutable_resource()->set_type("snapshots/overlayfs");
  add.mutable_resource()->set_id("k");
  google::protobuf::Empty empty;
  ASSERT_TRUE(InNamespace([&](auto* c) { return leases_->AddResource(c, add, &empty); }).ok());
  LeasesService::ListResourcesRequest list;
  list.set_id("l");
  LeasesService::ListResourcesResponse listed;
  ASSERT_TRUE(InNamespace([&](auto* c) { return leases_->ListResources(c, list, &listed); }).ok());
  ASSERT_EQ(listed.resources_size(), 1);
  EXPECT_EQ(listed.resources(0).id(), "k");
  LeasesService::DeleteResourceRequest drop;
  drop.set_id("l");
  *drop.mutable_resource() = add.resource();
  ASSERT_TRUE(InNamespace([&](auto* c) { return leases_->DeleteResource(c, drop, &empty); }).ok());
  ASSERT_TRUE(InNamespace([&](auto* c) { return leases_->ListResources(c, list, &listed); }).ok());
  EXPECT_EQ(listed.resources_size(), 0);
  add.mutable_resource()->set_type("volumes");
  EXPECT_EQ(InNamespace([&](auto* c) { return leases_->AddResource(c, add, &empty); }).error_code(),
            grpc::StatusCode::UNIMPLEMENTED);
}

}  // namespace
}  // namespace berth
