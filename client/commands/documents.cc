#include "client/commands/documents.h"

#include <map>

#include "absl/strings/escaping.h"
#include "client/commands/task_names.h"
#include "client/sdk/timestamps.h"
#include "proto/containerd/runc/v1/options.pb.h"

namespace berth::client {
namespace {

// JSON payloads as they are, protobuf ones as base64.
Json AnyDocument(const google::protobuf::Any& any) {
  if (any.type_url().empty()) return nullptr;
  absl::StatusOr<Json> json = ParseJson(any.value());
  if (json.ok()) return {{"type_url", any.type_url()}, {"value", *json}};
  containerd::runc::v1::Options options;
  if (any.type_url() == "containerd.runc.v1.Options" && options.ParseFromString(any.value())) {
    return {{"type_url", any.type_url()},
            {"value",
             {{"binary_name", options.binary_name()},
              {"root", options.root()},
              {"systemd_cgroup", options.systemd_cgroup()}}}};
  }
  return {{"type_url", any.type_url()}, {"value", absl::Base64Escape(any.value())}};
}

}  // namespace

Json LabelsDocument(const google::protobuf::Map<std::string, std::string>& labels) {
  // Sorted, so that the same record always reads the same.
  return Json(std::map<std::string, std::string>(labels.begin(), labels.end()));
}

Json ContainerDocument(const ContainerRecord& container) {
  Json document = {{"id", container.id()}, {"image", container.image()}};
  document["labels"] = LabelsDocument(container.labels());
  document["runtime"] = {{"name", container.runtime().name()},
                         {"options", AnyDocument(container.runtime().options())}};
  document["snapshotter"] = container.snapshotter();
  document["snapshot_key"] = container.snapshot_key();
  document["created_at"] = FormatMoment(FromProto(container.created_at()));
  document["updated_at"] = FormatMoment(FromProto(container.updated_at()));
  document["extensions"] = Json::object();
  for (const auto& [key, value] : container.extensions()) {
    document["extensions"][key] = AnyDocument(value);
  }
  if (!container.sandbox().empty()) document["sandbox"] = container.sandbox();
  absl::StatusOr<Json> spec = ParseJson(container.spec().value());
  document["spec"] = spec.ok() ? *spec : AnyDocument(container.spec());
  return document;
}

Json TaskDocument(const containerd::v1::types::Process& task) {
  Json document = {{"pid", task.pid()},       {"status", std::string(TaskStateName(task.status()))},
                   {"stdin", task.stdin()},   {"stdout", task.stdout()},
                   {"stderr", task.stderr()}, {"terminal", task.terminal()}};
  if (task.status() == containerd::v1::types::STOPPED) {
    document["exit_status"] = task.exit_status();
    document["exited_at"] = FormatMoment(FromProto(task.exited_at()));
  }
  return document;
}

Json ImageDocument(const ResolvedImage& image) {
  const ImageConfig& config = image.config;
  Json document = {{"name", image.record.name()}};
  document["target"] = {{"media_type", image.record.target().media_type()},
                        {"digest", image.record.target().digest()},
                        {"size", image.record.target().size()}};
  document["manifest"] = image.manifest_descriptor.digest();
  document["id"] = image.manifest.config.digest();
  document["size"] = ContentSize(image);
  document["labels"] = LabelsDocument(image.record.labels());
  document["created_at"] = FormatMoment(FromProto(image.record.created_at()));
  document["updated_at"] = FormatMoment(FromProto(image.record.updated_at()));
  document["platform"] = FormatPlatform(config.platform);
  document["config"] = {{"created", config.created},
                        {"user", config.user},
                        {"env", config.environment},
                        {"entrypoint", config.entrypoint},
                        {"cmd", config.command},
                        {"working_dir", config.working_directory},
                        {"stop_signal", config.stop_signal},
                        {"volumes", config.volumes},
                        {"labels", config.labels}};
  document["layers"] = Json::array();
  for (size_t i = 0; i < image.manifest.layers.size(); ++i) {
    const Descriptor& layer = image.manifest.layers[i];
    document["layers"].push_back(
        {{"digest", layer.digest()},
         {"size", layer.size()},
         {"media_type", layer.media_type()},
         {"diff_id", i < config.diff_ids.size() ? config.diff_ids[i] : ""}});
  }
  document["chain_id"] = image.chain_id();
  return document;
}

Json SnapshotDocument(const SnapshotInfo& snapshot) {
  return {{"name", snapshot.name()},
          {"parent", snapshot.parent()},
          {"kind", SnapshotKindName(snapshot.kind())},
          {"created_at", FormatMoment(FromProto(snapshot.created_at()))},
          {"updated_at", FormatMoment(FromProto(snapshot.updated_at()))},
          {"labels", LabelsDocument(snapshot.labels())}};
}

std::string SnapshotKindName(containerd::services::snapshots::v1::Kind kind) {
  switch (kind) {
    case containerd::services::snapshots::v1::VIEW:
      return "view";
    case containerd::services::snapshots::v1::ACTIVE:
      return "active";
    case containerd::services::snapshots::v1::COMMITTED:
      return "committed";
    default:
      return "unknown";
  }
}

}  // namespace berth::client
