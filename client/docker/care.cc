// berth fsck, and berth ps --ops: whether what is stored is right, and what is under way.
#include <memory>

#include "absl/strings/str_cat.h"
#include "base/status/status_macros.h"
#include "client/commands/listing.h"
#include "client/docker/docker_verbs.h"
#include "client/format/human.h"
#include "client/sdk/care_client.h"
#include "client/sdk/quantities.h"

namespace berth::client {
namespace {

using Report = care::v1::CheckReport;

struct CheckArguments {
  bool is_report_only = false;
  bool is_verbose = false;
  std::vector<std::string> rest;
};

struct Tally {
  uint64_t blobs = 0;
  uint64_t layers = 0;
  uint64_t bytes = 0;
  uint64_t damaged = 0;
  uint64_t quarantined = 0;
};

std::string LineOf(const Report& report) {
  const char* kind = report.kind() == Report::KIND_BLOB ? "blob " : "layer ";
  if (report.problem().empty()) return absl::StrCat("ok       ", kind, report.name(), "\n");
  return absl::StrCat(report.quarantined() ? "taken out " : "DAMAGED  ", kind, report.name(), ": ",
                      report.problem(), "\n");
}

absl::StatusOr<int> CheckStore(const Context& context, const CheckArguments& arguments) {
  BERTH_ASSIGN_OR_RETURN(const Connection connection, context.Connect());
  care::v1::CheckRequest request;
  request.set_report_only(arguments.is_report_only);
  Tally tally;
  BERTH_RETURN_IF_ERROR(CareClient(connection).Check(request, [&](const Report& report) {
    ++(report.kind() == Report::KIND_BLOB ? tally.blobs : tally.layers);
    tally.bytes += report.size_bytes();
    if (!report.problem().empty()) ++tally.damaged;
    if (report.quarantined()) ++tally.quarantined;
    if (arguments.is_verbose || !report.problem().empty()) PrintText(LineOf(report));
  })) << "check the store";
  PrintText(absl::StrCat(tally.blobs, " blobs and ", tally.layers, " layers checked, ",
                         DecimalSize(static_cast<double>(tally.bytes), 4), "; damaged: ",
                         tally.damaged, ", taken out of use: ", tally.quarantined, "\n"));
  if (tally.quarantined > 0) {
    PrintText("Pull or import the images again: what is missing is fetched and unpacked anew.\n");
  }
  return tally.damaged == 0 ? kExitOk : kExitFailure;
}

}  // namespace

absl::StatusOr<int> ListOperations(const Context& context) {
  BERTH_ASSIGN_OR_RETURN(const Connection connection, context.Connect());
  BERTH_ASSIGN_OR_RETURN(const auto operations, CareClient(connection).ListOperations());
  Listing listing;
  listing.AddColumn("NAMESPACE", "namespace");
  listing.AddColumn("CONTAINER", "container");
  listing.AddColumn("CALL", "call");
  listing.AddColumn("AGE", "age_seconds");
  listing.AddColumn("STAGE", "stage");
  for (const care::v1::Operation& operation : operations) {
    const absl::Duration age =
        absl::Seconds(operation.age().seconds()) + absl::Nanoseconds(operation.age().nanos());
    listing.AddRow({Cell(operation.namespace_()), Cell(operation.container()),
                    Cell(operation.call()),
                    Cell(absl::FormatDuration(absl::Trunc(age, absl::Milliseconds(1))),
                         absl::ToDoubleSeconds(age)),
                    Cell(operation.stage())});
  }
  listing.Print(Format::kTable);
  return kExitOk;
}

void AddCheck(Command root, const Context& context) {
  auto arguments = std::make_shared<CheckArguments>();
  root.Add("fsck", "Verify every blob and unpacked layer")
      .Flag("-n,--report-only", arguments->is_report_only, "Take nothing out of use")
      .Flag("-v,--verbose", arguments->is_verbose, "Also what is right")
      .Rest({"", 0, 0}, arguments->rest)
      .Examples("  berth fsck\n  berth fsck --report-only -v\n")
      .Do([&context, arguments] { return CheckStore(context, *arguments); });
}

}  // namespace berth::client
