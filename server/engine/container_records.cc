#include "server/engine/container_records.h"

#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status/status_macros.h"
#include "proto/containerd/events/container.pb.h"
#include "proto/containerd/runc/v1/options.pb.h"
#include "server/events/exchange.h"
#include "server/metadata/container_store.h"

namespace berth::engine {
namespace {

constexpr char kSpecType[] = "types.containerd.io/opencontainers/runtime-spec/1/Spec";
constexpr char kRuncOptionsType[] = "containerd.runc.v1.Options";
constexpr char kDefaultRuntime[] = "io.containerd.runc.v2";

std::string RuntimeName(const v1::Container& container) {
  const std::string& asked = container.host_config().runtime();
  return asked.empty() || asked == "runc" || asked == "berth" ? kDefaultRuntime : asked;
}

void FillRecord(const v1::Container& container, metadata::ContainerStore::Container& record) {
  // Other clients, and whoever asks whether an image is in use, know images by their full names.
  record.set_image(container.image_record().empty() ? container.image_name()
                                                    : container.image_record());
  *record.mutable_labels() = container.config().labels();
  (*record.mutable_labels())[kNameLabel] = container.name();
  google::protobuf::Any& extension = (*record.mutable_extensions())[kExtension];
  v1::Container stored = container;
  stored.clear_state();
  extension.set_type_url(kExtension);
  extension.set_value(stored.SerializeAsString());
}

}  // namespace

std::string ContainerRecords::DirectoryOf(const ContainerKey& key) const {
  return absl::StrCat(parts_.root, "/containers/", key.ns, "/", key.id);
}

absl::StatusOr<v1::Container> ContainerRecords::Load(const ContainerKey& key) {
  BERTH_ASSIGN_OR_RETURN(const auto record,
                         parts_.containers.Get(metadata::Caller{key.ns}, key.id));
  const auto extension = record.extensions().find(kExtension);
  v1::Container container;
  if (extension == record.extensions().end() ||
      !container.ParseFromString(extension->second.value())) {
    return absl::FailedPreconditionError(
        absl::StrCat("container ", key.id, " was made by another client, which must manage it: ",
                     "`berth container` and `berth task` show what it is"));
  }
  BERTH_ASSIGN_OR_RETURN(ContainerRow row, table_.Get(key));
  container.set_name(row.name);
  *container.mutable_state() = std::move(row.state);
  return container;
}

absl::Status ContainerRecords::Create(const ContainerKey& key, const v1::Container& container,
                                      const std::string& spec_json) {
  metadata::ContainerStore::Container record;
  record.set_id(key.id);
  record.mutable_runtime()->set_name(RuntimeName(container));
  record.mutable_runtime()->mutable_options()->set_type_url(kRuncOptionsType);
  record.mutable_runtime()->mutable_options()->set_value(
      containerd::runc::v1::Options().SerializeAsString());
  record.mutable_spec()->set_type_url(kSpecType);
  record.mutable_spec()->set_value(spec_json);
  record.set_snapshotter(container.snapshotter());
  record.set_snapshot_key(key.id);
  FillRecord(container, record);
  BERTH_RETURN_IF_ERROR(table_.SetSummary(key, SummaryOf(key.id, container)));
  BERTH_ASSIGN_OR_RETURN(const auto created,
                         parts_.containers.Create(metadata::Caller{key.ns}, std::move(record)));
  containerd::events::ContainerCreate event;
  event.set_id(key.id);
  event.set_image(created.image());
  event.mutable_runtime()->set_name(created.runtime().name());
  *event.mutable_runtime()->mutable_options() = created.runtime().options();
  parts_.exchange.Publish(key.ns, "/containers/create", event);
  return absl::OkStatus();
}

absl::Status ContainerRecords::Save(const ContainerKey& key, const v1::Container& container) {
  metadata::ContainerStore::Container record;
  record.set_id(key.id);
  FillRecord(container, record);
  const std::vector<std::string> mask = {"labels", absl::StrCat("extensions.", kExtension)};
  BERTH_RETURN_IF_ERROR(parts_.containers.Update(metadata::Caller{key.ns}, record, mask).status());
  return table_.SetSummary(key, SummaryOf(key.id, container));
}

absl::Status ContainerRecords::SaveSpec(const ContainerKey& key, const std::string& spec_json) {
  metadata::ContainerStore::Container record;
  record.set_id(key.id);
  record.mutable_spec()->set_type_url(kSpecType);
  record.mutable_spec()->set_value(spec_json);
  const std::vector<std::string> mask = {"spec"};
  return parts_.containers.Update(metadata::Caller{key.ns}, record, mask).status();
}

absl::Status ContainerRecords::Delete(const ContainerKey& key) {
  BERTH_RETURN_IF_ERROR(parts_.containers.Delete(metadata::Caller{key.ns}, key.id));
  containerd::events::ContainerDelete event;
  event.set_id(key.id);
  parts_.exchange.Publish(key.ns, "/containers/delete", event);
  return absl::OkStatus();
}

v1::ContainerSummary SummaryOf(absl::string_view id, const v1::Container& container) {
  v1::ContainerSummary summary;
  summary.set_id(std::string(id));
  summary.set_image(container.image_name());
  summary.set_image_id(container.image_id());
  summary.set_command(absl::StrJoin(container.arguments(), " "));
  *summary.mutable_created_at() = container.created_at();
  *summary.mutable_labels() = container.config().labels();
  *summary.mutable_mounts() = container.mounts();
  const std::string& network = container.host_config().network_mode();
  summary.set_network_mode(network);
  if (!network.empty() && !absl::StartsWith(network, "container:")) {
    summary.add_networks(network == "default" ? "none" : network);
  }
  summary.set_platform(container.platform());
  for (const std::string& port : container.config().exposed_ports()) summary.add_ports(port);
  return summary;
}

}  // namespace berth::engine
