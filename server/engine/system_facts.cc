#include "server/engine/system_facts.h"

#include <sys/utsname.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "base/os/file_io.h"
#include "base/status/status_macros.h"
#include "server/engine/engine.h"
#include "server/engine/prune.h"
#include "server/engine/sizes.h"
#include "server/engine/status_text.h"
#include "server/engine/task_metrics.h"
#include "server/image/image_catalog.h"

namespace berth::engine {
namespace {

using Json = nlohmann::ordered_json;

constexpr char kSnapshotter[] = "overlayfs";
// The Docker API whose documents these are.
constexpr char kApiVersion[] = "1.47";

std::string OperatingSystem() {
  const auto text = ReadFile("/etc/os-release", 64 << 10);
  if (!text.ok()) return "Linux";
  for (absl::string_view line : absl::StrSplit(*text, '\n')) {
    if (!absl::ConsumePrefix(&line, "PRETTY_NAME=")) continue;
    absl::ConsumePrefix(&line, "\"");
    absl::ConsumeSuffix(&line, "\"");
    return std::string(line);
  }
  return "Linux";
}

struct utsname Machine() {
  struct utsname machine = {};
  ::uname(&machine);
  return machine;
}

bool IsRunning(const v1::ContainerSummary& container) {
  return container.state().status() == v1::STATUS_RUNNING ||
         container.state().status() == v1::STATUS_PAUSED ||
         container.state().status() == v1::STATUS_RESTARTING;
}

absl::Status MeasureContainers(Engine& engine, const std::string& ns, bool verbose,  // NOLINT
                               v1::DiskUsageResponse& response) {
  BERTH_ASSIGN_OR_RETURN(const auto list, engine.table().List(ns));
  v1::DiskUsageResponse::Summary& total = *response.mutable_containers();
  for (const v1::ContainerSummary& container : list) {
    const uint64_t bytes = static_cast<uint64_t>(WritableBytes(engine, {ns, container.id()}));
    total.set_total(total.total() + 1);
    total.set_size_bytes(total.size_bytes() + bytes);
    if (IsRunning(container)) {
      total.set_active(total.active() + 1);
    } else {
      total.set_reclaimable_bytes(total.reclaimable_bytes() + bytes);
    }
    if (!verbose) continue;
    v1::DiskUsageResponse::Item& item = *response.add_container_items();
    item.set_id(container.id());
    item.set_name(container.names_size() > 0 ? container.names(0) : "");
    item.set_size_bytes(bytes);
    item.set_image(container.image());
    item.set_command(container.command());
    *item.mutable_created_at() = container.created_at();
    item.set_status(StatusText(container.state(), absl::Now()));
    for (const v1::MountPoint& point : container.mounts()) {
      if (point.type() == v1::Mount::TYPE_VOLUME) item.set_local_volumes(item.local_volumes() + 1);
    }
  }
  return absl::OkStatus();
}

absl::Status MeasureVolumes(Engine& engine, const std::string& ns, bool verbose,  // NOLINT
                            v1::DiskUsageResponse& response) {
  BERTH_ASSIGN_OR_RETURN(const auto list, engine.volumes().List(ns, {}));
  v1::DiskUsageResponse::Summary& total = *response.mutable_volumes();
  for (const v1::Volume& volume : list) {
    // What is mounted is not on our disk.
    const uint64_t bytes = volume.options().empty() ? Volumes::Measure(volume.mountpoint()) : 0;
    total.set_total(total.total() + 1);
    total.set_size_bytes(total.size_bytes() + bytes);
    if (volume.references() > 0) {
      total.set_active(total.active() + 1);
    } else {
      total.set_reclaimable_bytes(total.reclaimable_bytes() + bytes);
    }
    if (!verbose) continue;
    v1::DiskUsageResponse::Item& item = *response.add_volume_items();
    item.set_name(volume.name());
    item.set_size_bytes(bytes);
    item.set_uses(static_cast<uint32_t>(volume.references()));
    *item.mutable_created_at() = volume.created_at();
  }
  return absl::OkStatus();
}

absl::Status MeasureImages(Engine& engine, const std::string& ns, bool verbose,  // NOLINT
                           v1::DiskUsageResponse& response) {
  image::ImageCatalog& images = engine.parts().images;
  BERTH_ASSIGN_OR_RETURN(const auto usage, images.MeasureAll(metadata::Caller{ns}, kSnapshotter));
  v1::DiskUsageResponse::Summary& total = *response.mutable_images();
  total.set_total(static_cast<uint64_t>(usage.images));
  total.set_active(static_cast<uint64_t>(usage.active));
  total.set_size_bytes(static_cast<uint64_t>(usage.content_bytes + usage.unpacked_bytes));
  total.set_reclaimable_bytes(static_cast<uint64_t>(usage.reclaimable_bytes));
  if (!verbose) return absl::OkStatus();
  image::ImageCatalog::ListOptions options;
  options.measure = image::ImageCatalog::ListOptions::Measure::kShares;
  BERTH_ASSIGN_OR_RETURN(const auto list, images.List(metadata::Caller{ns}, options));
  for (const image::ImageSummary& image : list) {
    v1::DiskUsageResponse::Item& item = *response.add_image_items();
    item.set_name(image.record.name());
    if (image.resolved.has_value()) item.set_id(image.resolved->id());
    const int64_t size_bytes = image.size.content_bytes + image.size.unpacked_bytes;
    item.set_size_bytes(static_cast<uint64_t>(size_bytes));
    item.set_shared_bytes(static_cast<uint64_t>(image.size.shared_bytes));
    item.set_unique_bytes(static_cast<uint64_t>(size_bytes - image.size.shared_bytes));
    item.set_uses(static_cast<uint32_t>(image.containers));
    *item.mutable_created_at() = image.record.created_at();
  }
  return absl::OkStatus();
}

constexpr char kSwapLimitFile[] = "/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes";

bool IsOn(const char* file) {
  const absl::StatusOr<std::string> text = ReadFile(file, 64);
  return text.ok() && absl::StartsWith(*text, "1");
}

}  // namespace

absl::StatusOr<v1::InfoResponse> DescribeEngine(Engine& engine, const std::string& ns) {
  v1::InfoResponse info;
  BERTH_ASSIGN_OR_RETURN(const auto containers, engine.table().List(ns));
  for (const v1::ContainerSummary& container : containers) {
    info.set_containers(info.containers() + 1);
    if (container.state().status() == v1::STATUS_PAUSED) {
      info.set_containers_paused(info.containers_paused() + 1);
    } else if (IsRunning(container)) {
      info.set_containers_running(info.containers_running() + 1);
    } else {
      info.set_containers_stopped(info.containers_stopped() + 1);
    }
  }
  image::ImageCatalog::ListOptions options;
  options.measure = image::ImageCatalog::ListOptions::Measure::kNothing;
  BERTH_ASSIGN_OR_RETURN(const auto images,
                         engine.parts().images.List(metadata::Caller{ns}, options));
  info.set_images(static_cast<uint32_t>(images.size()));
  const struct utsname machine = Machine();
  const bool unified = ::access("/sys/fs/cgroup/cgroup.controllers", F_OK) == 0;
  const Json document = {
      {"Containers", info.containers()},
      {"ContainersRunning", info.containers_running()},
      {"ContainersPaused", info.containers_paused()},
      {"ContainersStopped", info.containers_stopped()},
      {"Images", info.images()},
      {"Driver", kSnapshotter},
      {"Plugins",
       {{"Volume", {"local"}}, {"Network", {"host", "none"}}, {"Log", {"json-file", "none"}}}},
      {"LoggingDriver", "json-file"},
      {"CgroupDriver", "cgroupfs"},
      {"CgroupVersion", unified ? "2" : "1"},
      {"KernelVersion", machine.release},
      {"OperatingSystem", OperatingSystem()},
      {"OSType", "linux"},
      {"Architecture", machine.machine},
      {"NCPU", ::sysconf(_SC_NPROCESSORS_ONLN)},
      {"MemTotal", MachineMemory()},
      {"DockerRootDir", engine.parts().root},
      {"Name", machine.nodename},
      {"DefaultRuntime", "berth"},
      {"Runtimes", {{"berth", {{"path", "berth-shim"}}}}},
      {"InitBinary", "docker-init"},
      {"LiveRestoreEnabled", true},  // always: containers run on without the daemon
      {"MemoryLimit", true},
      {"SwapLimit", unified || ::access(kSwapLimitFile, F_OK) == 0},
      {"CpuCfsPeriod", true},
      {"CpuCfsQuota", true},
      {"CPUShares", true},
      {"CPUSet", true},
      {"PidsLimit", true},
      {"OomKillDisable", !unified},
      {"IPv4Forwarding", IsOn("/proc/sys/net/ipv4/ip_forward")},
      {"SystemTime", absl::FormatTime(absl::RFC3339_full, absl::Now(), absl::UTCTimeZone())},
      {"IndexServerAddress", "https://index.docker.io/v1/"},
      {"Swarm", {{"LocalNodeState", "inactive"}}},
      {"ExperimentalBuild", false},
      {"Labels", Json::array()},
      {"Warnings", nullptr},
      {"SecurityOptions", {"name=seccomp,profile=builtin"}},
      {"ServerVersion", engine.parts().version}};
  info.set_json(document.dump());
  return info;
}

v1::EngineVersionResponse DescribeVersion(Engine& engine) {
  v1::EngineVersionResponse response;
  response.set_version(engine.parts().version);
  const struct utsname machine = Machine();
  const Json document = {{"Version", response.version()},
                         {"ApiVersion", kApiVersion},
                         {"MinAPIVersion", "1.24"},
                         {"Os", "linux"},
                         {"Arch", image::HostPlatform().architecture},
                         {"KernelVersion", machine.release}};
  response.set_json(document.dump());
  return response;
}

absl::StatusOr<v1::DiskUsageResponse> MeasureDisk(Engine& engine, const std::string& ns,
                                                  const v1::DiskUsageRequest& request) {
  v1::DiskUsageResponse response;
  BERTH_RETURN_IF_ERROR(MeasureImages(engine, ns, request.verbose(), response));
  BERTH_RETURN_IF_ERROR(MeasureContainers(engine, ns, request.verbose(), response));
  BERTH_RETURN_IF_ERROR(MeasureVolumes(engine, ns, request.verbose(), response));
  response.mutable_build_cache();
  return response;
}

absl::StatusOr<v1::PruneImagesResponse> PruneImages(Engine& engine, const std::string& ns,
                                                    const v1::PruneImagesRequest& request) {
  image::ImageCatalog::PruneOptions options;
  using Which = image::ImageCatalog::PruneOptions::Which;
  options.which = request.all() ? Which::kUnused : Which::kDangling;
  for (const auto& [key, filter] : request.filters()) {
    for (const std::string& value : filter.values()) {
      if (key == "until") {
        BERTH_ASSIGN_OR_RETURN(options.until, ParseUntil(value, absl::Now()));
      } else if (key == "label") {
        options.labels.push_back(value);
      } else if (key == "label!") {
        options.without_labels.push_back(value);
      } else if (key == "dangling" && value != "true" && value != "1" && value != "false" &&
                 value != "0") {
        return absl::InvalidArgumentError(absl::StrCat("invalid filter 'dangling=", value, "'"));
      } else if (key == "dangling") {
        options.which = value == "false" || value == "0" ? Which::kUnused : Which::kDangling;
      } else {
        return absl::InvalidArgumentError(absl::StrCat("invalid filter '", key, "'"));
      }
    }
  }
  BERTH_ASSIGN_OR_RETURN(const auto result,
                         engine.parts().images.Prune(metadata::Caller{ns}, options));
  v1::PruneImagesResponse response;
  for (const auto& removal : result.removals) {
    if (!removal.untagged.empty()) response.add_untagged(removal.untagged);
    if (!removal.deleted.empty()) response.add_deleted(removal.deleted);
  }
  response.set_reclaimed_bytes(static_cast<uint64_t>(result.reclaimed_bytes));
  return response;
}

}  // namespace berth::engine
