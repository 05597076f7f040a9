#include "server/api/transfer_service.h"

#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/reference/reference.h"
#include "base/status/status_macros.h"
#include "proto/containerd/types/transfer/imagestore.pb.h"
#include "proto/containerd/types/transfer/importexport.pb.h"
#include "proto/containerd/types/transfer/registry.pb.h"
#include "server/api/caller_of.h"
#include "server/image/archive_stream.h"
#include "server/image/transfer_progress.h"

namespace berth {
namespace {

namespace types = containerd::types::transfer;
using image::HoldsMessage;
using image::Platform;
using image::UnpackAny;

constexpr char kDefaultSnapshotter[] = "overlayfs";
constexpr char kSnapshotterLabel[] = "containerd.io/defaults/snapshotter";

Platform PlatformOf(const containerd::types::Platform& platform) {
  return image::Normalized({.os = platform.os(),
                            .architecture = platform.architecture(),
                            .variant = platform.variant(),
                            .os_version = platform.os_version()});
}

template <typename Platforms>
std::vector<Platform> PlatformsOf(const Platforms& from) {
  std::vector<Platform> platforms;
  for (const auto& platform : from) platforms.push_back(PlatformOf(platform));
  return platforms;
}

std::string HostOf(const Reference& reference) {
  return reference.host() == "docker.io" ? "registry-1.docker.io" : reference.host();
}

std::vector<image::UnpackTarget> UnpacksOf(const types::ImageStore& store,
                                           const std::string& snapshotter) {
  std::vector<image::UnpackTarget> unpacks;
  for (const types::UnpackConfiguration& unpack : store.unpacks()) {
    image::UnpackTarget target;
    target.snapshotter = unpack.snapshotter().empty() ? snapshotter : unpack.snapshotter();
    if (unpack.has_platform()) target.platform = PlatformOf(unpack.platform());
    unpacks.push_back(std::move(target));
  }
  return unpacks;
}

image::ImportNaming NamingOf(const types::ImageStore& store) {
  image::ImportNaming naming;
  if (!store.name().empty()) naming.names.push_back(store.name());
  for (const types::ImageReference& reference : store.extra_references()) {
    if (reference.is_prefix()) {
      naming.prefixes.push_back({.name = reference.name(),
                                 .keeps_foreign_names = reference.allow_overwrite(),
                                 .adds_digest = reference.add_digest(),
                                 .skips_named_digest = reference.skip_named_digest()});
    } else {
      naming.names.push_back(reference.name());
    }
  }
  return naming;
}

absl::Status NotServed(const TransferService::Request& request) {
  return absl::UnimplementedError(absl::StrCat("a transfer from \"", request.source().type_url(),
                                               "\" to \"", request.destination().type_url(),
                                               "\" is not supported"));
}

}  // namespace

struct TransferService::Call {
  CallInfo info;
  metadata::Caller caller;
  Request request;
  Done<Empty> done;
  std::shared_ptr<image::ProgressReporter> progress;  // may be null
  std::string snapshotter;                            // of the namespace

  image::OnProgress on_progress() const {
    if (progress == nullptr) return nullptr;
    return [progress = progress](const image::TransferProgress& step) { progress->Report(step); };
  }
  void Answer(const absl::Status& status) {
    if (progress != nullptr) progress->Close();
    if (status.ok()) {
      done(Empty());
    } else {
      done(status);
    }
  }
};

grpc::ServerUnaryReactor* TransferService::Transfer(grpc::CallbackServerContext* context,
                                                    const Request* request, Empty* response) {
  return UnaryAsync(
      context, request, response,
      [this](const CallInfo& info, const Request& request, Done<Empty> done) {
        absl::StatusOr<metadata::Caller> caller = CallerOf(info);
        if (!caller.ok()) return done(caller.status());
        CallPtr call(new Call{info, *std::move(caller), request, std::move(done), nullptr, ""});
        if (!parts_.executor.Post([this, call] { Begin(call); })) {
          call->done(absl::ResourceExhaustedError(
              "too many calls are waiting to be served; try again in a moment"));
        }
      });
}

void TransferService::Begin(CallPtr call) {
  const absl::Status status = Dispatch(call);
  if (!status.ok()) call->Answer(status);
}

absl::Status TransferService::Dispatch(const CallPtr& call) {
  const Request& request = call->request;
  if (const std::string& id = request.options().progress_stream(); !id.empty()) {
    BERTH_ASSIGN_OR_RETURN(std::shared_ptr<image::MessageStream> stream,
                           parts_.streams.Find(call->caller.ns, id), _ << "progress_stream");
    call->progress = std::make_shared<image::ProgressReporter>(std::move(stream));
  }
  call->snapshotter = kDefaultSnapshotter;
  if (const auto ns = parts_.namespaces.Get(call->caller.ns); ns.ok()) {
    const auto label = ns->labels().find(kSnapshotterLabel);
    if (label != ns->labels().end() && !label->second.empty()) call->snapshotter = label->second;
  }
  const bool to_store = HoldsMessage<types::ImageStore>(request.destination());
  const bool from_store = HoldsMessage<types::ImageStore>(request.source());
  if (to_store && HoldsMessage<types::OCIRegistry>(request.source())) return Pull(call);
  if (to_store && HoldsMessage<types::ImageImportStream>(request.source())) return Import(call);
  if (to_store && from_store) return Tag(call);
  if (from_store && HoldsMessage<types::OCIRegistry>(request.destination())) return Push(call);
  if (from_store && HoldsMessage<types::ImageExportStream>(request.destination())) {
    return Export(call);
  }
  return NotServed(request);
}

namespace {

// Finds out how to reach the registry, asking the client where it offers to answer, then calls
// `next`, once.
void WithAccess(image::StreamTable& streams, const metadata::Caller& caller,
                const types::OCIRegistry& registry, const std::string& text,
                absl::AnyInvocable<void(absl::StatusOr<image::RegistryAccess>)> next) {
  image::RegistryAccess access;
  const types::RegistryResolver& resolver = registry.resolver();
  access.scheme = resolver.default_scheme();
  access.hosts_directory = resolver.host_dir();
  access.headers = {resolver.headers().begin(), resolver.headers().end()};
  if (resolver.auth_stream().empty()) return next(std::move(access));
  const absl::StatusOr<Reference> reference = Reference::Parse(text);
  if (!reference.ok()) return next(reference.status());
  auto stream = streams.Find(caller.ns, resolver.auth_stream());
  if (!stream.ok()) return next(Annotate(stream.status(), "auth_stream"));
  image::AskCredentials(*std::move(stream), HostOf(*reference), reference->Full(),
                        [access = std::move(access), next = std::move(next)](
                            absl::StatusOr<image::RegistryAccess> answer) mutable {
                          if (!answer.ok()) return next(answer.status());
                          access.credentials = answer->credentials;
                          access.headers.insert(answer->headers.begin(), answer->headers.end());
                          next(std::move(access));
                        });
}

}  // namespace

absl::Status TransferService::Pull(const CallPtr& call) {
  BERTH_ASSIGN_OR_RETURN(const auto source, UnpackAny<types::OCIRegistry>(call->request.source()));
  BERTH_ASSIGN_OR_RETURN(const auto store,
                         UnpackAny<types::ImageStore>(call->request.destination()));
  image::PullRequest pull;
  pull.reference = source.reference();
  pull.record_name = store.name();
  pull.platforms = PlatformsOf(store.platforms());
  if (pull.platforms.empty()) {
    pull.extent = image::PullRequest::Extent::kEverything;
  } else if (store.all_metadata()) {
    pull.extent = image::PullRequest::Extent::kAllMetadata;
  }
  pull.unpacks = UnpacksOf(store, call->snapshotter);
  pull.labels = {store.labels().begin(), store.labels().end()};
  for (const types::ImageReference& reference : store.extra_references()) {
    if (!reference.is_prefix()) pull.more_names.push_back(reference.name());
  }
  WithAccess(
      parts_.streams, call->caller, source, source.reference(),
      [this, call, pull = std::move(pull)](absl::StatusOr<image::RegistryAccess> access) mutable {
        if (!access.ok()) return call->Answer(access.status());
        pull.access = *std::move(access);
        auto cancel = parts_.puller.Pull(
            call->caller, std::move(pull), call->on_progress(),
            [call](absl::StatusOr<image::ImageRecord> record) { call->Answer(record.status()); });
        call->info.OnCancel(std::move(cancel));
      });
  return absl::OkStatus();
}

absl::Status TransferService::Push(const CallPtr& call) {
  BERTH_ASSIGN_OR_RETURN(const auto store, UnpackAny<types::ImageStore>(call->request.source()));
  BERTH_ASSIGN_OR_RETURN(const auto registry,
                         UnpackAny<types::OCIRegistry>(call->request.destination()));
  image::PushRequest push;
  push.name = store.name();
  push.reference = registry.reference();
  push.platforms = PlatformsOf(store.platforms());
  const std::string where = push.reference.empty() ? push.name : push.reference;
  WithAccess(
      parts_.streams, call->caller, registry, where,
      [this, call, push = std::move(push)](absl::StatusOr<image::RegistryAccess> access) mutable {
        if (!access.ok()) return call->Answer(access.status());
        push.access = *std::move(access);
        auto cancel = parts_.puller.Push(
            call->caller, std::move(push), call->on_progress(),
            [call](absl::StatusOr<image::Descriptor> target) { call->Answer(target.status()); });
        call->info.OnCancel(std::move(cancel));
      });
  return absl::OkStatus();
}

absl::Status TransferService::Import(const CallPtr& call) {
  BERTH_ASSIGN_OR_RETURN(const auto source,
                         UnpackAny<types::ImageImportStream>(call->request.source()));
  BERTH_ASSIGN_OR_RETURN(const auto store,
                         UnpackAny<types::ImageStore>(call->request.destination()));
  BERTH_ASSIGN_OR_RETURN(std::shared_ptr<image::MessageStream> stream,
                         parts_.streams.Find(call->caller.ns, source.stream()), _ << "stream");
  image::ImportRequest request;
  request.naming = NamingOf(store);
  request.platforms = PlatformsOf(store.platforms());
  request.labels = {store.labels().begin(), store.labels().end()};
  request.unpacks = UnpacksOf(store, call->snapshotter);
  request.on_progress = call->on_progress();
  BERTH_ASSIGN_OR_RETURN(std::unique_ptr<image::SpoolFile> spool,
                         parts_.importer.OpenSpool(call->caller));
  image::ReceiveArchive(stream, std::move(spool), parts_.executor,
                        [this, call, stream, request = std::move(request)](
                            absl::StatusOr<std::unique_ptr<image::SpoolFile>> archive) mutable {
                          stream->Close(absl::OkStatus());
                          if (!archive.ok()) return call->Answer(archive.status());
                          parts_.importer.Import(
                              call->caller, std::move(request), *std::move(archive),
                              [call](absl::StatusOr<std::vector<image::ImageRecord>> records) {
                                call->Answer(records.status());
                              });
                        });
  return absl::OkStatus();
}

absl::Status TransferService::Export(const CallPtr& call) {
  BERTH_ASSIGN_OR_RETURN(const auto store, UnpackAny<types::ImageStore>(call->request.source()));
  BERTH_ASSIGN_OR_RETURN(const auto target,
                         UnpackAny<types::ImageExportStream>(call->request.destination()));
  BERTH_ASSIGN_OR_RETURN(std::shared_ptr<image::MessageStream> stream,
                         parts_.streams.Find(call->caller.ns, target.stream()), _ << "stream");
  image::ExportRequest request;
  if (!store.name().empty()) request.names.push_back(store.name());
  for (const types::ImageReference& reference : store.extra_references()) {
    if (reference.is_prefix()) {
      return absl::UnimplementedError("an export names its images one by one, not by a prefix");
    }
    request.names.push_back(reference.name());
  }
  request.platforms = PlatformsOf(target.platforms());
  if (target.all_platforms()) request.extent = image::ExportRequest::Extent::kAllPlatforms;
  if (target.skip_compatibility_manifest()) {
    request.docker_manifest = image::ExportRequest::DockerManifest::kLeaveOut;
  }
  if (target.skip_non_distributable()) {
    request.foreign_layers = image::ExportRequest::Foreign::kLeaveOut;
  }
  auto source = parts_.exporter.Export(call->caller, request);
  if (!source.ok()) {
    stream->Close(source.status());
    return source.status();
  }
  image::SendArchive(stream, *std::move(source), parts_.executor,
                     [call](absl::Status status) { call->Answer(status); });
  return absl::OkStatus();
}

absl::Status TransferService::Tag(const CallPtr& call) {
  BERTH_ASSIGN_OR_RETURN(const auto source, UnpackAny<types::ImageStore>(call->request.source()));
  BERTH_ASSIGN_OR_RETURN(const auto target,
                         UnpackAny<types::ImageStore>(call->request.destination()));
  BERTH_RETURN_IF_ERROR(parts_.catalog.Tag(call->caller, source.name(), target.name()).status());
  call->Answer(absl::OkStatus());
  return absl::OkStatus();
}

}  // namespace berth
