// berth container: the records of containers, as containerd has them. Docker's verbs join it from
// client/docker.
#include "absl/strings/str_cat.h"
#include "base/status/status_macros.h"
#include "client/commands/container_lookup.h"
#include "client/commands/documents.h"
#include "client/commands/label_words.h"
#include "client/commands/verbs.h"

namespace berth::client {
namespace {

using Words = std::vector<std::string>;

absl::StatusOr<int> ShowContainer(const Context& context, const Words& words) {
  BERTH_ASSIGN_OR_RETURN(const Connection connection, context.Connect());
  BERTH_ASSIGN_OR_RETURN(const ContainerRecord record, FindContainer(connection, words[0]));
  PrintText(absl::StrCat(Dump(ContainerDocument(record)), "\n"));
  return kExitOk;
}

absl::StatusOr<int> LabelContainer(const Context& context, const Words& words) {
  BERTH_ASSIGN_OR_RETURN(const auto labels, ParseLabels(words, 1));
  BERTH_ASSIGN_OR_RETURN(const Connection connection, context.Connect());
  BERTH_ASSIGN_OR_RETURN(const ContainerRecord record, FindContainer(connection, words[0]));
  BERTH_RETURN_IF_ERROR(ContainerClient(connection).SetLabels(record.id(), labels));
  return kExitOk;
}

}  // namespace

Command AddContainer(Command root, const Context& context) {
  auto words = std::make_shared<Words>();
  Command noun = root.Add("container,containers,c", "Containers");
  noun.Add("info", "Show a container's record as JSON, as containerd has it")
      .Rest({"CONTAINER", 1, 1}, *words)
      .Examples("  berth container info web\n")
      .Do([&context, words] { return ShowContainer(context, *words); });
  noun.Add("label", "Set and remove labels of a container's record")
      .Rest({"CONTAINER KEY=value [KEY=...]", 2, -1}, *words)
      .Examples("  berth container label web tier=front owner=\n")
      .Do([&context, words] { return LabelContainer(context, *words); });
  return noun;
}

}  // namespace berth::client
