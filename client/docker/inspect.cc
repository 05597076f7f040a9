// berth inspect: all that is known of containers, images and volumes, as JSON.
#include <cstdio>
#include <memory>

#include "absl/strings/str_cat.h"
#include "base/status/status_macros.h"
#include "client/commands/listing.h"
#include "client/docker/creation.h"
#include "client/docker/docker_image.h"
#include "client/docker/docker_verbs.h"
#include "client/format/row_view.h"
#include "client/sdk/engine_client.h"
#include "client/sdk/image_reader.h"

namespace berth::client {
namespace {

struct InspectArguments {
  std::string type;
  std::string format;
  bool has_size = false;
  std::vector<std::string> rest;
};

absl::StatusOr<Json> InspectContainer(const EngineClient& client, const std::string& word,
                                      const InspectArguments& arguments) {
  engine::InspectContainerRequest request;
  request.set_container(word);
  request.set_size(arguments.has_size);
  BERTH_ASSIGN_OR_RETURN(const engine::InspectContainerResponse response, client.Inspect(request));
  BERTH_ASSIGN_OR_RETURN(Json document, ParseJson(response.json()));
  // {{if .State.Health}} asks whether there is a check: its absence is an answer, not a mistake.
  if (!arguments.format.empty() && document.contains("State") && document["State"].is_object() &&
      !document["State"].contains("Health")) {
    document["State"]["Health"] = nullptr;
  }
  return document;
}

absl::StatusOr<Json> InspectImage(const EngineClient& client, const std::string& word) {
  BERTH_ASSIGN_OR_RETURN(const ImageRecord record, FindImage(client.connection(), word));
  BERTH_ASSIGN_OR_RETURN(const ResolvedImage image, ResolveImage(client.connection(), record));
  return DockerImageDocument(client.connection(), image);
}

absl::StatusOr<Json> InspectVolume(const EngineClient& client, const std::string& word) {
  BERTH_ASSIGN_OR_RETURN(const engine::InspectVolumeResponse response, client.InspectVolume(word));
  return ParseJson(response.json());
}

absl::StatusOr<Json> InspectAny(const EngineClient& client, const std::string& word,
                                const InspectArguments& arguments) {
  const std::string& type = arguments.type;
  if (type.empty() || type == "container") {
    absl::StatusOr<Json> found = InspectContainer(client, word, arguments);
    if (found.ok() || !type.empty() || !absl::IsNotFound(found.status())) return found;
  }
  if (type.empty() || type == "image") {
    absl::StatusOr<Json> found = InspectImage(client, word);
    const bool is_none =
        absl::IsNotFound(found.status()) || absl::IsInvalidArgument(found.status());
    if (found.ok() || !type.empty() || !is_none) return found;
  }
  absl::StatusOr<Json> found = InspectVolume(client, word);
  if (!found.ok() && type.empty() && absl::IsNotFound(found.status())) {
    return absl::NotFoundError(absl::StrCat("No such object: ", word));
  }
  return found;
}

// What was found is shown, what was not is told.
absl::StatusOr<int> Inspect(const Context& context, const InspectArguments& arguments) {
  const std::string& type = arguments.type;
  if (!type.empty() && type != "container" && type != "image" && type != "volume") {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", type, "\" is no value for --type: expected container, image or volume"));
  }
  // A mistake in the format is known before anybody is asked.
  BERTH_RETURN_IF_ERROR(RenderDocuments(arguments.format, {}).status());
  BERTH_ASSIGN_OR_RETURN(const Connection connection, context.Connect());
  const EngineClient client(connection);
  std::vector<Json> documents;
  int exit_code = kExitOk;
  for (const std::string& word : arguments.rest) {
    absl::StatusOr<Json> found = InspectAny(client, word, arguments);
    if (found.ok()) {
      documents.push_back(*std::move(found));
    } else {
      exit_code = FailWith("inspect", found.status(), kExitFailure);
    }
  }
  BERTH_ASSIGN_OR_RETURN(const std::string text, RenderDocuments(arguments.format, documents));
  PrintText(text);
  return exit_code;
}

}  // namespace

void AddInspect(Command parent, const Context& context) {
  auto arguments = std::make_shared<InspectArguments>();
  parent.Add("inspect", "Show all that is known of containers, images or volumes")
      .Option("--type TYPE", arguments->type,
              "container, image or volume (default: whichever is found)")
      .Option("-f,--format FORMAT", arguments->format, "json, or a Go template")
      .Flag("-s,--size", arguments->has_size, "With the size of a container's files")
      .Rest({"NAME [NAME...]", 1, -1}, arguments->rest)
      .Examples(
          "  berth inspect web\n"
          "  berth inspect --format '{{.State.Status}} {{.State.ExitCode}}' web\n"
          "  berth inspect --format '{{json .Config.Env}}' web\n"
          "  berth inspect --type image busybox\n")
      .Do([&context, arguments] { return Inspect(context, *arguments); });
}

void AddContainerInspect(Command noun, const Context& context) {
  auto arguments = std::make_shared<InspectArguments>();
  noun.Add("inspect", "Show all that is known of containers")
      .Option("-f,--format FORMAT", arguments->format, "json, or a Go template")
      .Flag("-s,--size", arguments->has_size, "With the size of their files")
      .Rest({"CONTAINER [CONTAINER...]", 1, -1}, arguments->rest)
      .Examples("  berth container inspect --format '{{.State.Status}}' web\n")
      .Do([&context, arguments] {
        arguments->type = "container";
        return Inspect(context, *arguments);
      });
}

void AddImageInspect(Command noun, const Context& context) {
  auto arguments = std::make_shared<InspectArguments>();
  noun.Add("inspect", "Show all that is known of images")
      .Option("-f,--format FORMAT", arguments->format, "json, or a Go template")
      .Rest({"IMAGE [IMAGE...]", 1, -1}, arguments->rest)
      .Examples("  berth image inspect --format '{{.Config.Cmd}}' busybox\n")
      .Do([&context, arguments] {
        arguments->type = "image";
        return Inspect(context, *arguments);
      });
}

}  // namespace berth::client
