#include "client/docker/disk_usage.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status/status_macros.h"
#include "client/format/human.h"
#include "client/format/row_view.h"
#include "client/format/template_printf.h"
#include "client/sdk/timestamps.h"

namespace berth::client {

using ::berth::engine::v1::DiskUsageResponse;

namespace {

std::string Size(uint64_t bytes) { return DecimalSize(static_cast<double>(bytes), 4); }

Json SummaryRow(const char* type, const DiskUsageResponse::Summary& summary) {
  std::string reclaimable = Size(summary.reclaimable_bytes());
  if (summary.size_bytes() > 0) {
    absl::StrAppend(&reclaimable, " (", summary.reclaimable_bytes() * 100 / summary.size_bytes(),
                    "%)");
  }
  return {{"Active", absl::StrCat(summary.active())},
          {"Reclaimable", reclaimable},
          {"Size", Size(summary.size_bytes())},
          {"TotalCount", absl::StrCat(summary.total())},
          {"Type", type}};
}

// "sha256:0123..." and long ids in short.
std::string ShortId(absl::string_view id) {
  if (const size_t colon = id.find(':'); colon != absl::string_view::npos) {
    id = id.substr(colon + 1);
  }
  return std::string(id.substr(0, 12));
}

Json ItemRow(const DiskUsageResponse::Item& item, absl::Time now) {
  const size_t colon = item.name().rfind(':');
  const bool has_tag = colon != std::string::npos &&
                       !absl::StrContains(absl::string_view(item.name()).substr(colon), "/");
  return {{"Command", Quote(item.command().substr(0, 20))},
          {"Containers", absl::StrCat(item.uses())},
          {"CreatedSince", HumanAgo(FromProto(item.created_at()), now)},
          {"ID", ShortId(item.id())},
          {"Image", item.image()},
          {"Links", absl::StrCat(item.uses())},
          {"LocalVolumes", absl::StrCat(item.local_volumes())},
          {"Name", item.name()},
          {"Repository", item.name().empty() ? "<none>"
                         : has_tag           ? item.name().substr(0, colon)
                                             : item.name()},
          {"SharedSize", Size(item.shared_bytes())},
          {"Size", Size(item.size_bytes())},
          {"Status", item.status()},
          {"Tag", has_tag ? item.name().substr(colon + 1) : "<none>"},
          {"UniqueSize", Size(item.unique_bytes())}};
}

template <typename Items>
absl::Status AppendSection(std::string& text, absl::string_view title, const RowKind& kind,
                           const Items& items, absl::Time now) {
  std::vector<Json> rows;
  for (const DiskUsageResponse::Item& item : items) rows.push_back(ItemRow(item, now));
  BERTH_ASSIGN_OR_RETURN(const RowView view, RowView::Parse("table", kind));
  BERTH_ASSIGN_OR_RETURN(const std::string table, view.Render(rows));
  absl::StrAppend(&text, text.empty() ? "" : "\n", title, " space usage:\n\n", table);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::string> DiskUsageSummary(const DiskUsageResponse& usage,
                                             absl::string_view format) {
  RowKind kind;
  kind.table = "{{.Type}}\t{{.TotalCount}}\t{{.Active}}\t{{.Size}}\t{{.Reclaimable}}";
  kind.headings = {{"TotalCount", "TOTAL"}};
  BERTH_ASSIGN_OR_RETURN(const RowView view, RowView::Parse(format, kind));
  return view.Render({SummaryRow("Images", usage.images()),
                      SummaryRow("Containers", usage.containers()),
                      SummaryRow("Local Volumes", usage.volumes()),
                      SummaryRow("Build Cache", usage.build_cache())});
}

absl::StatusOr<std::string> VerboseDiskUsage(const DiskUsageResponse& usage, absl::Time now) {
  std::string text;
  RowKind kind;
  kind.table =
      "{{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}\t{{.SharedSize}}\t"
      "{{.UniqueSize}}\t{{.Containers}}";
  kind.headings = {{"ID", "IMAGE ID"},
                   {"CreatedSince", "CREATED"},
                   {"SharedSize", "SHARED SIZE"},
                   {"UniqueSize", "UNIQUE SIZE"}};
  BERTH_RETURN_IF_ERROR(AppendSection(text, "Images", kind, usage.image_items(), now));
  kind.table =
      "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.LocalVolumes}}\t{{.Size}}\t{{.CreatedSince}}\t"
      "{{.Status}}\t{{.Name}}";
  kind.headings = {{"ID", "CONTAINER ID"},
                   {"LocalVolumes", "LOCAL VOLUMES"},
                   {"CreatedSince", "CREATED"},
                   {"Name", "NAMES"}};
  BERTH_RETURN_IF_ERROR(AppendSection(text, "Containers", kind, usage.container_items(), now));
  kind.table = "{{.Name}}\t{{.Links}}\t{{.Size}}";
  kind.headings = {{"Name", "VOLUME NAME"}};
  BERTH_RETURN_IF_ERROR(AppendSection(text, "Local Volumes", kind, usage.volume_items(), now));
  return text;
}

}  // namespace berth::client
