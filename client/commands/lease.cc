// berth lease: what is kept from the garbage collector.
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/status/status_macros.h"
#include "client/commands/documents.h"
#include "client/commands/each.h"
#include "client/commands/label_words.h"
#include "client/commands/verbs.h"
#include "client/sdk/lease_client.h"
#include "client/sdk/quantities.h"
#include "client/sdk/timestamps.h"

namespace berth::client {
namespace {

struct LeaseArguments {
  std::string format = "table";
  std::string id;
  std::string expires = "24h";
  bool is_quiet = false;
  bool is_synchronous = false;
  std::vector<std::string> filters;
  std::vector<std::string> rest;
};

absl::StatusOr<int> ListLeases(const Context& context, const LeaseArguments& arguments) {
  BERTH_ASSIGN_OR_RETURN(const Format format, ParseFormat(arguments.format));
  BERTH_ASSIGN_OR_RETURN(const Connection connection, context.Connect());
  BERTH_ASSIGN_OR_RETURN(const std::vector<LeaseRecord> leases,
                         LeaseClient(connection).List(arguments.filters));
  if (arguments.is_quiet) {
    for (const LeaseRecord& lease : leases) PrintText(absl::StrCat(lease.id(), "\n"));
    return kExitOk;
  }
  Listing listing;
  listing.AddColumn("LEASE", "id");
  listing.AddColumn("AGE", "created_at");
  listing.AddColumn("LABELS", "labels", Listing::Fit::kMayBeCut);
  for (const LeaseRecord& lease : leases) {
    const absl::Time created = FromProto(lease.created_at());
    listing.AddRow({Cell(lease.id()), Cell(FormatAge(absl::Now() - created), FormatMoment(created)),
                    Cell(FormatLabels(lease.labels()), LabelsDocument(lease.labels()))});
  }
  listing.Print(format);
  return kExitOk;
}

absl::StatusOr<int> CreateLease(const Context& context, const LeaseArguments& arguments) {
  BERTH_ASSIGN_OR_RETURN(auto labels, ParseLabels(arguments.rest, 0));
  absl::Duration lifetime;
  if (!absl::ParseDuration(arguments.expires, &lifetime) || lifetime < absl::ZeroDuration()) {
    return absl::InvalidArgumentError(
        absl::StrCat("--expires \"", arguments.expires, "\" is no duration (30m, 24h; 0: never)"));
  }
  if (lifetime > absl::ZeroDuration()) labels.merge(ExpiryLabels(lifetime));
  BERTH_ASSIGN_OR_RETURN(const Connection connection, context.Connect());
  BERTH_ASSIGN_OR_RETURN(const std::string id,
                         LeaseClient(connection).Create(arguments.id, labels));
  PrintText(absl::StrCat(id, "\n"));
  return kExitOk;
}

absl::StatusOr<int> ListResources(const Context& context, const LeaseArguments& arguments) {
  BERTH_ASSIGN_OR_RETURN(const Format format, ParseFormat(arguments.format));
  BERTH_ASSIGN_OR_RETURN(const Connection connection, context.Connect());
  BERTH_ASSIGN_OR_RETURN(const std::vector<LeaseResource> resources,
                         LeaseClient(connection).Resources(arguments.rest[0]));
  Listing listing;
  listing.AddColumn("TYPE", "type");
  listing.AddColumn("ID", "id", Listing::Fit::kMayBeCut);
  for (const LeaseResource& resource : resources) {
    listing.AddRow({Cell(resource.type()), Cell(resource.id())});
  }
  listing.Print(format);
  return kExitOk;
}

absl::StatusOr<int> RemoveLeases(const Context& context, const LeaseArguments& arguments) {
  BERTH_ASSIGN_OR_RETURN(const Connection connection, context.Connect());
  return ForEach("lease rm", arguments.rest, [&](const std::string& id) {
    return LeaseClient(connection)
        .Delete(id, arguments.is_synchronous ? Collect::kBeforeAnswer : Collect::kLater);
  });
}

}  // namespace

void AddLease(Command root, const Context& context) {
  auto arguments = std::make_shared<LeaseArguments>();
  Command noun = root.Add("lease,leases", "What is kept from the garbage collector");
  noun.Add("ls,list", "List leases")
      .Option("-f,--filter", arguments->filters, "containerd's filters")
      .Option("--format", arguments->format, "table or json")
      .Flag("-q,--quiet", arguments->is_quiet, "Ids only")
      .Rest({"", 0, 0}, arguments->rest)
      .Examples("  berth lease ls\n")
      .Do([&context, arguments] { return ListLeases(context, *arguments); });
  noun.Add("create", "Create a lease and print its id")
      .Option("--id", arguments->id, "Its id (default: the server makes one up)")
      .Option("-x,--expires", arguments->expires, "Lifetime (default: 24h; 0: until removed)")
      .Rest({"[KEY=value...]", 0, -1}, arguments->rest)
      .Examples("  berth lease create --expires 24h\n")
      .Do([&context, arguments] { return CreateLease(context, *arguments); });
  noun.Add("resources", "List what a lease holds")
      .Option("--format", arguments->format, "table or json")
      .Rest({"LEASE", 1, 1}, arguments->rest)
      .Examples("  berth lease resources build-1\n")
      .Do([&context, arguments] { return ListResources(context, *arguments); });
  noun.Add("rm,remove,delete", "Remove leases")
      .Flag("--sync", arguments->is_synchronous, "Free the disk before returning")
      .Rest({"LEASE [LEASE...]", 1, -1}, arguments->rest)
      .Examples("  berth lease rm build-1\n")
      .Do([&context, arguments] { return RemoveLeases(context, *arguments); });
}

}  // namespace berth::client
