#include "server/engine/container_list.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/wire_format_lite.h>

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/status/status_macros.h"
#include "server/engine/container_filter.h"
#include "server/engine/status_text.h"

namespace berth::engine {
namespace {

using google::protobuf::internal::WireFormatLite;
using google::protobuf::io::CodedOutputStream;
using Summary = v1::ContainerSummary;

struct Entry {
  int64_t created_at = 0;  // nanoseconds since the epoch
  std::string id;
  std::string name;
  bool is_chosen = true;  // others only hold a place
  std::string encoded;
};

template <typename Message>
absl::Status Parse(absl::string_view bytes, absl::string_view id, Message& message) {
  if (message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return absl::OkStatus();
  return DamagedRow(id);
}

size_t FieldBytes(size_t payload_bytes) {
  return 1 + WireFormatLite::LengthDelimitedSize(payload_bytes);  // all numbers are below 16
}

void WriteField(int number, absl::string_view bytes, CodedOutputStream& out) {
  WireFormatLite::WriteTag(number, WireFormatLite::WIRETYPE_LENGTH_DELIMITED, &out);
  out.WriteVarint32(static_cast<uint32_t>(bytes.size()));
  out.WriteRaw(bytes.data(), static_cast<int>(bytes.size()));
}

// A message that follows another is merged with it: what a row has beside its summary comes behind.
std::string Encode(const ContainerTable::StoredRow& row, absl::string_view status) {
  const size_t size = row.summary.size() + FieldBytes(row.name.size()) +
                      FieldBytes(row.state.size()) + FieldBytes(status.size());
  std::string encoded;
  encoded.reserve(FieldBytes(size));
  google::protobuf::io::StringOutputStream stream(&encoded);
  CodedOutputStream out(&stream);
  WireFormatLite::WriteTag(v1::ListContainersResponse::kContainersFieldNumber,
                           WireFormatLite::WIRETYPE_LENGTH_DELIMITED, &out);
  out.WriteVarint32(static_cast<uint32_t>(size));
  out.WriteRaw(row.summary.data(), static_cast<int>(row.summary.size()));
  WriteField(Summary::kNamesFieldNumber, row.name, out);
  WriteField(Summary::kStateFieldNumber, row.state, out);
  WriteField(Summary::kStatusFieldNumber, status, out);
  out.Trim();
  return encoded;
}

void SortNewestFirst(std::vector<Entry>& list) {
  const auto is_before = [](const Entry& a, const Entry& b) {
    return a.created_at != b.created_at ? a.created_at > b.created_at : a.id < b.id;
  };
  // Rows come in the order in which they were made, nearly always.
  std::reverse(list.begin(), list.end());
  if (!std::is_sorted(list.begin(), list.end(), is_before)) {
    std::sort(list.begin(), list.end(), is_before);
  }
}

// What was made before a container stands behind it.
absl::Status CutAt(const v1::ListContainersRequest& request, std::vector<Entry>& list) {
  for (const char* key : {"before", "since"}) {
    const auto filter = request.filters().find(key);
    if (filter == request.filters().end()) continue;
    for (const std::string& value : filter->second.values()) {
      const auto place = std::find_if(list.begin(), list.end(), [&](const Entry& entry) {
        return entry.name == value || absl::StartsWith(entry.id, value);
      });
      if (place == list.end()) {
        return absl::NotFoundError(absl::StrCat("No such container: ", value));
      }
      if (key == absl::string_view("before")) list.erase(list.begin(), place + 1);
      if (key == absl::string_view("since")) list.erase(place, list.end());
    }
  }
  return absl::OkStatus();
}

bool HasPlaces(const v1::ListContainersRequest& request) {
  return request.filters().contains("before") || request.filters().contains("since");
}

}  // namespace

absl::StatusOr<std::vector<std::string>> EncodedContainers(
    ContainerTable& table, absl::string_view ns, const v1::ListContainersRequest& request,
    absl::Time now, absl::FunctionRef<void(Summary&)> add_sizes) {
  BERTH_ASSIGN_OR_RETURN(const ContainerFilter filter, ContainerFilter::Of(request));
  const bool has_places = HasPlaces(request);
  std::vector<Entry> list;
  v1::State state;
  Summary summary;
  BERTH_RETURN_IF_ERROR(table.Visit(ns, [&](const ContainerTable::StoredRow& row) -> absl::Status {
    BERTH_RETURN_IF_ERROR(Parse(row.state, row.id, state));
    bool is_chosen = filter.MatchesState(state);
    if (is_chosen && filter.needs_summary()) {
      BERTH_RETURN_IF_ERROR(Parse(row.summary, row.id, summary));
      summary.add_names(std::string(row.name));
      is_chosen = filter.Matches(summary);
    }
    if (!is_chosen && !has_places) return absl::OkStatus();
    list.push_back({row.created_at, std::string(row.id), std::string(row.name), is_chosen,
                    is_chosen ? Encode(row, StatusText(state, now)) : ""});
    return absl::OkStatus();
  }));
  SortNewestFirst(list);
  BERTH_RETURN_IF_ERROR(CutAt(request, list));
  std::erase_if(list, [](const Entry& entry) { return !entry.is_chosen; });
  if (request.last() > 0 && list.size() > static_cast<size_t>(request.last())) {
    list.resize(static_cast<size_t>(request.last()));
  }
  std::vector<std::string> result;
  result.reserve(list.size());
  for (Entry& entry : list) {
    result.push_back(std::move(entry.encoded));
    if (!request.sizes()) continue;
    v1::ListContainersResponse one;
    BERTH_RETURN_IF_ERROR(Parse(result.back(), entry.id, one));
    add_sizes(*one.mutable_containers(0));
    result.back() = one.SerializeAsString();
  }
  return result;
}

}  // namespace berth::engine
