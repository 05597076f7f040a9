#include "client/docker/images.h"

#include <algorithm>
#include <functional>
#include <map>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/status/status_macros.h"
#include "client/commands/listing.h"
#include "client/docker/docker_image.h"
#include "client/format/human.h"
#include "client/format/row_view.h"
#include "client/options/value_syntax.h"
#include "client/sdk/image_reader.h"

namespace berth::client {
namespace {

constexpr size_t kShortIdLength = 12;

struct ImagesArguments {
  bool is_all = false;
  bool is_quiet = false;
  bool is_untruncated = false;
  bool has_digests = false;
  std::vector<std::string> filters;
  std::string format;
  std::vector<std::string> rest;
};

struct Listed {
  ResolvedImage image;
  ImageName name;
  absl::Time created;
};

using Keeps = std::function<bool(const Listed&)>;

absl::StatusOr<absl::Time> CreationOfNamed(const Connection& connection, const std::string& name) {
  BERTH_ASSIGN_OR_RETURN(const ImageRecord record, FindImage(connection, name));
  BERTH_ASSIGN_OR_RETURN(const ResolvedImage image, ResolveImage(connection, record));
  return CreationOf(image);
}

absl::StatusOr<Keeps> ParseFilter(const Connection& connection, const std::string& word) {
  const std::pair<std::string, std::string> parts = absl::StrSplit(word, absl::MaxSplits('=', 1));
  const auto& [key, value] = parts;
  if (key.size() == word.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", word, "\" is no value for --filter: expected KEY=VALUE"));
  }
  if (key == "reference") {
    return Keeps([value = value](const Listed& one) { return MatchesReference(one.name, value); });
  }
  if (key == "dangling") {
    if (value != "true" && value != "1" && value != "false" && value != "0") {
      return absl::InvalidArgumentError(absl::StrCat("invalid filter 'dangling=", value, "'"));
    }
    return Keeps([wanted = value == "true" || value == "1"](const Listed& one) {
      return one.name.is_dangling() == wanted;
    });
  }
  if (key == "label") {
    const std::pair<std::string, std::string> label =
        absl::StrSplit(value, absl::MaxSplits('=', 1));
    const bool has_value = label.first.size() != value.size();
    return Keeps([label, has_value](const Listed& one) {
      const auto found = one.image.config.labels.find(label.first);
      return found != one.image.config.labels.end() &&
             (!has_value || found->second == label.second);
    });
  }
  if (key == "before" || key == "since") {
    BERTH_ASSIGN_OR_RETURN(const absl::Time mark, CreationOfNamed(connection, value));
    return Keeps([mark, before = key == "before"](const Listed& one) {
      return before ? one.created < mark : one.created > mark;
    });
  }
  if (key == "until") {
    BERTH_ASSIGN_OR_RETURN(const absl::Time mark, ParseMoment(value, absl::Now()));
    return Keeps([mark](const Listed& one) { return one.created < mark; });
  }
  return absl::InvalidArgumentError(absl::StrCat("invalid filter '", key, "'"));
}

// Values of one key are alternatives, but of labels all must be there; keys must all fit.
absl::StatusOr<std::vector<Keeps>> ParseFilters(const Connection& connection,
                                                const ImagesArguments& arguments) {
  std::map<std::string, std::vector<Keeps>> by_key;
  std::vector<std::string> words = arguments.filters;
  if (!arguments.rest.empty()) words.push_back(absl::StrCat("reference=", arguments.rest[0]));
  for (const std::string& word : words) {
    BERTH_ASSIGN_OR_RETURN(Keeps keeps, ParseFilter(connection, word));
    const std::string key = word.substr(0, word.find('='));
    by_key[key == "label" ? word : key].push_back(std::move(keeps));
  }
  std::vector<Keeps> all;
  for (auto& [key, alternatives] : by_key) {
    all.push_back([alternatives = std::move(alternatives)](const Listed& one) {
      return std::any_of(alternatives.begin(), alternatives.end(),
                         [&](const Keeps& keeps) { return keeps(one); });
    });
  }
  return all;
}

Json RowOf(const Listed& one, absl::Time now, const ImagesArguments& arguments) {
  const std::string& id = one.image.manifest.config.digest();
  const std::string size = DecimalSize(static_cast<double>(ContentSize(one.image)));
  return {{"Containers", "N/A"},
          {"CreatedAt", HumanMoment(one.created)},
          {"CreatedSince", HumanAgo(one.created, now)},
          {"Digest", one.image.record.target().digest()},
          {"ID", arguments.is_untruncated
                     ? id
                     : std::string(absl::StripPrefix(id, "sha256:").substr(0, kShortIdLength))},
          {"Repository", one.name.repository},
          {"SharedSize", "N/A"},
          {"Size", size},
          {"Tag", one.name.tag},
          {"UniqueSize", "N/A"},
          {"VirtualSize", size}};
}

absl::StatusOr<int> List(const Context& context, const ImagesArguments& arguments) {
  std::string format = arguments.format;
  if (arguments.is_quiet && (format.empty() || format == "table")) format = "{{.ID}}";
  RowKind kind;
  kind.table = arguments.has_digests ? "{{.Repository}}\t{{.Tag}}\t{{.Digest}}"
                                     : "{{.Repository}}\t{{.Tag}}";
  kind.table += "\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}";
  kind.headings = {{"ID", "IMAGE ID"},
                   {"CreatedSince", "CREATED"},
                   {"CreatedAt", "CREATED AT"},
                   {"SharedSize", "SHARED SIZE"},
                   {"UniqueSize", "UNIQUE SIZE"}};
  BERTH_ASSIGN_OR_RETURN(const RowView view, RowView::Parse(format, kind));
  BERTH_ASSIGN_OR_RETURN(const Connection connection, context.Connect());
  BERTH_ASSIGN_OR_RETURN(const std::vector<Keeps> filters, ParseFilters(connection, arguments));
  BERTH_ASSIGN_OR_RETURN(const std::vector<ImageRecord> records, ImageClient(connection).List({}));
  std::vector<Listed> listed;
  for (const ImageRecord& record : records) {
    absl::StatusOr<ResolvedImage> image = ResolveImage(connection, record);
    Listed one;
    // One that is not whole must not hide the others.
    if (image.ok()) one.image = *std::move(image);
    one.image.record = record;
    one.name = NameOfImage(record.name());
    one.created = CreationOf(one.image);
    const bool fits =
        std::all_of(filters.begin(), filters.end(), [&](const Keeps& keeps) { return keeps(one); });
    if (fits) listed.push_back(std::move(one));
  }
  std::stable_sort(listed.begin(), listed.end(),
                   [](const Listed& a, const Listed& b) { return a.created > b.created; });
  std::vector<Json> rows;
  for (const Listed& one : listed) rows.push_back(RowOf(one, absl::Now(), arguments));
  BERTH_ASSIGN_OR_RETURN(const std::string text, view.Render(rows));
  PrintText(text);
  return kExitOk;
}

}  // namespace

void AddImages(Command parent, const Context& context, absl::string_view names) {
  auto arguments = std::make_shared<ImagesArguments>();
  parent.Add(names, "List images")
      .Flag("-a,--all", arguments->is_all, "As docker has it; there are no intermediate images")
      .Flag("--digests", arguments->has_digests, "With their digests")
      .Option("-f,--filter KEY=VALUE", arguments->filters,
              "reference, dangling, label, before, since, until")
      .Option("--format FORMAT", arguments->format, "table, json, or a Go template")
      .Flag("--no-trunc", arguments->is_untruncated, "Whole ids")
      .Flag("-q,--quiet", arguments->is_quiet, "Ids only")
      .Rest({"[REPOSITORY[:TAG]]", 0, 1}, arguments->rest)
      .Examples(
          "  berth images\n"
          "  berth images 'busy*'\n"
          "  berth images --filter dangling=true -q\n"
          "  berth images --format '{{.Repository}}:{{.Tag}} {{.Size}}'\n")
      .Do([&context, arguments] { return List(context, *arguments); });
}

}  // namespace berth::client
