// state and list: what is told of a container's record.
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include <algorithm>
#include <map>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/json/document.h"
#include "base/json/writer.h"
#include "base/os/file_io.h"
#include "base/status/status_macros.h"
#include "shim/oci/commands.h"

namespace berth::oci {
namespace {

void Print(const std::string& text) { ::fwrite(text.data(), 1, text.size(), stdout); }

// Sorted by name, which makes two outputs comparable.
void WriteAnnotations(const std::string& json_text, json::Writer& writer) {
  absl::StatusOr<json::Document> document = json::Document::Parse(json_text);
  if (!document.ok() || document->root().size() == 0) return;
  std::map<std::string, std::string> sorted;
  for (auto member : document->root()) {
    sorted.emplace(std::string(member.key()), std::string(member.value().text()));
  }
  writer.Key("annotations").BeginObject();
  for (const auto& [key, value] : sorted) writer.Key(key).String(value);
  writer.EndObject();
}

void WriteState(const CommandContext& context, const ContainerRecord& record,
                const std::string& owner, json::Writer& writer) {
  const RuntimeState state = context.store.StateOf(record);
  writer.BeginObject().Key("ociVersion").String(record.oci_version).Key("id").String(record.id);
  writer.Key("pid").Int(state == RuntimeState::kStopped ? 0 : record.init_pid);
  writer.Key("status").String(RuntimeStateName(state)).Key("bundle").String(record.bundle);
  writer.Key("rootfs").String(record.rootfs).Key("created").String(record.created);
  WriteAnnotations(record.annotations_json, writer);
  writer.Key("owner").String(owner).EndObject();
}

// Read by hand: a static program cannot use the C library's.
std::string UserName(uid_t uid) {
  absl::StatusOr<std::string> passwd = ReadFile("/etc/passwd");
  if (passwd.ok()) {
    for (absl::string_view line : absl::StrSplit(*passwd, '\n')) {
      const std::vector<absl::string_view> fields = absl::StrSplit(line, ':');
      if (fields.size() > 2 && fields[2] == absl::StrCat(uid)) return std::string(fields[0]);
    }
  }
  return absl::StrCat("#", uid);
}

// Columns as wide as their widest cell and three blanks, at least twelve; the last one is not
// padded.
std::string Table(const std::vector<std::vector<std::string>>& rows) {
  constexpr size_t kLeast = 12;
  constexpr size_t kPadding = 3;
  std::string out;
  for (const auto& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) {
      absl::StrAppend(&out, row[i]);
      if (i + 1 == row.size()) break;
      size_t width = kLeast;
      for (const auto& other : rows) width = std::max(width, other[i].size() + kPadding);
      out.append(width - row[i].size(), ' ');
    }
    out += '\n';
  }
  return out;
}

}  // namespace

absl::StatusOr<int> RunState(CommandContext& context) {
  BERTH_ASSIGN_OR_RETURN(const std::string id, ContainerArgument(context));
  BERTH_ASSIGN_OR_RETURN(const ContainerRecord record, context.store.Load(id));
  json::Writer writer(json::Layout::kIndented);
  WriteState(context, record, "", writer);
  Print(writer.Take() + "\n");
  return 0;
}

absl::StatusOr<int> RunList(CommandContext& context) {
  const std::string format = context.options.Get("format", "table");
  if (format != "table" && format != "json") {
    return absl::InvalidArgumentError(absl::StrCat("invalid format option: ", format));
  }
  BERTH_ASSIGN_OR_RETURN(const std::vector<std::string> ids, context.store.List());
  if (context.options.Has("quiet")) {
    for (const std::string& id : ids) Print(id + "\n");
    return 0;
  }
  std::vector<std::vector<std::string>> rows = {
      {"ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"}};
  json::Writer writer;
  writer.BeginArray();
  for (const std::string& id : ids) {
    absl::StatusOr<ContainerRecord> record = context.store.Load(id);
    if (!record.ok()) continue;  // being made, or being removed
    const std::string owner = UserName(record->owner);
    WriteState(context, *record, owner, writer);
    const RuntimeState state = context.store.StateOf(*record);
    rows.push_back({id, absl::StrCat(state == RuntimeState::kStopped ? 0 : record->init_pid),
                    RuntimeStateName(state), record->bundle, record->created, owner});
  }
  const std::string array = writer.EndArray().Take();
  if (format == "table") {
    Print(Table(rows));
  } else {
    // No containers are "null" to runc's callers, who are used to it.
    Print(rows.size() == 1 ? "null\n" : array + "\n");
  }
  return 0;
}

}  // namespace berth::oci
