// berth namespace: the server's partitions.
#include "base/status/status_macros.h"
#include "client/commands/documents.h"
#include "client/commands/each.h"
#include "client/commands/label_words.h"
#include "client/commands/verbs.h"
#include "client/sdk/namespace_client.h"

namespace berth::client {
namespace {

struct NamespaceArguments {
  std::string format = "table";
  bool is_quiet = false;
  std::vector<std::string> rest;
};

absl::StatusOr<int> ListNamespaces(const Context& context, const NamespaceArguments& arguments) {
  BERTH_ASSIGN_OR_RETURN(const Format format, ParseFormat(arguments.format));
  BERTH_ASSIGN_OR_RETURN(const Connection connection, context.Connect());
  BERTH_ASSIGN_OR_RETURN(const std::vector<NamespaceRecord> namespaces,
                         NamespaceClient(connection).List());
  Listing listing;
  listing.AddColumn("NAME", "name");
  listing.AddColumn("LABELS", "labels", Listing::Fit::kMayBeCut);
  for (const NamespaceRecord& record : namespaces) {
    listing.AddRow({Cell(record.name()),
                    Cell(FormatLabels(record.labels()), LabelsDocument(record.labels()))});
  }
  listing.Print(format);
  return kExitOk;
}

absl::StatusOr<int> CreateNamespace(const Context& context, const NamespaceArguments& arguments) {
  BERTH_ASSIGN_OR_RETURN(const auto labels, ParseLabels(arguments.rest, 1));
  BERTH_ASSIGN_OR_RETURN(const Connection connection, context.Connect());
  BERTH_RETURN_IF_ERROR(NamespaceClient(connection).Create(arguments.rest[0], labels));
  return kExitOk;
}

absl::StatusOr<int> LabelNamespace(const Context& context, const NamespaceArguments& arguments) {
  BERTH_ASSIGN_OR_RETURN(const auto labels, ParseLabels(arguments.rest, 1));
  BERTH_ASSIGN_OR_RETURN(const Connection connection, context.Connect());
  BERTH_RETURN_IF_ERROR(NamespaceClient(connection).SetLabels(arguments.rest[0], labels));
  return kExitOk;
}

absl::StatusOr<int> RemoveNamespaces(const Context& context, const NamespaceArguments& arguments) {
  BERTH_ASSIGN_OR_RETURN(const Connection connection, context.Connect());
  return ForEach("namespace rm", arguments.rest,
                 [&](const std::string& name) { return NamespaceClient(connection).Delete(name); });
}

}  // namespace

void AddNamespace(Command root, const Context& context) {
  auto arguments = std::make_shared<NamespaceArguments>();
  Command noun = root.Add("namespace,namespaces,ns", "Partitions of the server");
  noun.Add("ls,list", "List namespaces")
      .Option("--format", arguments->format, "table or json")
      .Rest({"", 0, 0}, arguments->rest)
      .Examples("  berth namespace ls\n")
      .Do([&context, arguments] { return ListNamespaces(context, *arguments); });
  noun.Add("create,c", "Create a namespace")
      .Rest({"NAME [KEY=value...]", 1, -1}, arguments->rest)
      .Examples("  berth namespace create tests owner=me\n")
      .Do([&context, arguments] { return CreateNamespace(context, *arguments); });
  noun.Add("label", "Set and remove labels of a namespace")
      .Rest({"NAME KEY=value [KEY=...]", 2, -1}, arguments->rest)
      .Examples("  berth namespace label tests owner=you\n")
      .Do([&context, arguments] { return LabelNamespace(context, *arguments); });
  noun.Add("rm,remove", "Remove namespaces, which must be empty")
      .Rest({"NAME [NAME...]", 1, -1}, arguments->rest)
      .Examples("  berth namespace rm tests\n")
      .Do([&context, arguments] { return RemoveNamespaces(context, *arguments); });
}

}  // namespace berth::client
