// berth inspect: all that the server knows of containers or images, as JSON.
#include <cstdio>

#include "absl/strings/str_cat.h"
#include "base/status/status_macros.h"
#include "client/commands/container_lookup.h"
#include "client/commands/documents.h"
#include "client/commands/verbs.h"
#include "client/sdk/image_reader.h"

namespace berth::client {
namespace {

struct InspectArguments {
  std::string type;
  std::vector<std::string> rest;
};

absl::StatusOr<Json> InspectContainer(const Connection& connection, const std::string& word) {
  BERTH_ASSIGN_OR_RETURN(const ContainerRecord container, FindContainer(connection, word));
  BERTH_ASSIGN_OR_RETURN(const std::optional<containerd::v1::types::Process> task,
                         FindTask(connection, container.id()));
  Json document = ContainerDocument(container);
  document["task"] = task.has_value() ? TaskDocument(*task) : Json(nullptr);
  return document;
}

absl::StatusOr<Json> InspectImage(const Connection& connection, const std::string& word) {
  BERTH_ASSIGN_OR_RETURN(const ImageRecord record, FindImage(connection, word));
  BERTH_ASSIGN_OR_RETURN(const ResolvedImage image, ResolveImage(connection, record));
  return ImageDocument(image);
}

absl::StatusOr<int> Inspect(const Context& context, const InspectArguments& arguments) {
  if (!arguments.type.empty() && arguments.type != "container" && arguments.type != "image") {
    return absl::InvalidArgumentError(
        absl::StrCat("--type \"", arguments.type, "\" is not known (container or image)"));
  }
  BERTH_ASSIGN_OR_RETURN(const Connection connection, context.Connect());
  Json list = Json::array();
  int exit_code = kExitOk;
  for (const std::string& word : arguments.rest) {
    absl::StatusOr<Json> found = absl::NotFoundError("");
    if (arguments.type != "image") found = InspectContainer(connection, word);
    if (arguments.type == "image" || (arguments.type.empty() && absl::IsNotFound(found.status()))) {
      found = InspectImage(connection, word);
      if (absl::IsNotFound(found.status()) && arguments.type.empty()) {
        found = absl::NotFoundError(absl::StrCat("no container and no image \"", word,
                                                 "\" in namespace \"", connection.ns(), "\""));
      }
    }
    if (found.ok()) {
      list.push_back(*std::move(found));
    } else {
      std::fprintf(stderr, "berth inspect: %s\n", std::string(found.status().message()).c_str());
      exit_code = kExitFailure;
    }
  }
  PrintText(absl::StrCat(Dump(list), "\n"));
  return exit_code;
}

}  // namespace

void AddInspect(Command root, const Context& context) {
  auto arguments = std::make_shared<InspectArguments>();
  root.Add("inspect", "Show containers or images as JSON")
      .Option("--type", arguments->type, "container or image (default: whichever is found)")
      .Rest({"NAME [NAME...]", 1, -1}, arguments->rest)
      .Examples("  berth inspect web\n  berth inspect --type image busybox\n")
      .Do([&context, arguments] { return Inspect(context, *arguments); });
}

}  // namespace berth::client
