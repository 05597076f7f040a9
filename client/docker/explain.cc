// berth explain: where the time of a container's create, start and delete went.
#include <memory>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/status/status_macros.h"
#include "client/commands/listing.h"
#include "client/docker/docker_verbs.h"
#include "client/sdk/care_client.h"
#include "client/sdk/timestamps.h"

namespace berth::client {
namespace {

using care::v1::Span;

struct ExplainArguments {
  std::string format = "table";
  std::vector<std::string> rest;  // container
};

absl::Duration TookOf(const Span& span) {
  return absl::Seconds(span.took().seconds()) + absl::Nanoseconds(span.took().nanos());
}

std::string Milliseconds(absl::Duration time) {
  return absl::StrFormat("%.3f", absl::ToDoubleMilliseconds(time));
}

Cell TimeCell(absl::Duration time) {
  return Cell(Milliseconds(time), absl::ToInt64Nanoseconds(time));
}

// What a step of the daemon's is made of, where the shim says so: its own verb.
bool IsPart(const Span& part, const Span& whole) {
  if (part.source() != Span::SOURCE_SHIM || whole.source() != Span::SOURCE_DAEMON) return false;
  return (part.call() == "create" && whole.step() == "shim: Create") ||
         (part.call() == "start" && whole.step() == "shim: Start") ||
         (part.call() == "exec" && whole.step() == "shim: Start of an exec");
}

class Table {
 public:
  Table() {
    listing_.AddColumn("STEP", "step");
    listing_.AddColumn("AT ms", "at_nanoseconds");
    listing_.AddColumn("TOOK ms", "took_nanoseconds");
    listing_.AddColumn("CALL", "call", Listing::Fit::kJsonOnly);
    listing_.AddColumn("SOURCE", "source", Listing::Fit::kJsonOnly);
  }

  void AddHeading(absl::string_view call, absl::Time at, absl::Duration took) {
    if (!began_.has_value()) began_ = at;
    Add(std::string(call), Json(std::string(call)), at, took, call, "berthd");
  }
  void AddSpan(const Span& span, int depth) {
    const absl::Time at = FromProto(span.began_at());
    if (!began_.has_value()) began_ = at;
    Add(absl::StrCat(std::string(static_cast<size_t>(2 * depth), ' '), span.step()),
        Json(span.step()), at, TookOf(span), span.call(),
        span.source() == Span::SOURCE_SHIM ? "shim" : "berthd");
  }
  const Listing& listing() const { return listing_; }

 private:
  void Add(std::string text, Json name, absl::Time at, absl::Duration took, absl::string_view call,
           const char* source) {
    listing_.AddRow({Cell(std::move(text), std::move(name)), TimeCell(at - *began_), TimeCell(took),
                     Cell(std::string(call)), Cell(std::string(source))});
  }

  std::optional<absl::Time> began_;
  Listing listing_;
};

// The daemon's calls, each with its steps, and below a step what the shim says of it.
Table TableOf(const care::v1::ExplainResponse& explained) {
  Table table;
  const auto& spans = explained.spans();
  std::vector<bool> shown(static_cast<size_t>(spans.size()));
  for (int i = 0; i < spans.size(); ++i) {
    if (spans[i].source() != Span::SOURCE_DAEMON) continue;
    if (i == 0 || spans[i - 1].call() != spans[i].call()) {
      absl::Duration took;
      for (int j = i; j < spans.size() && spans[j].call() == spans[i].call(); ++j) {
        took += TookOf(spans[j]);
      }
      table.AddHeading(spans[i].call(), FromProto(spans[i].began_at()), took);
    }
    table.AddSpan(spans[i], 1);
    for (int j = 0; j < spans.size(); ++j) {
      if (shown[static_cast<size_t>(j)] || !IsPart(spans[j], spans[i])) continue;
      // The shim has the last of each verb; the daemon may know earlier ones.
      const absl::Time at = FromProto(spans[j].began_at());
      const absl::Time from = FromProto(spans[i].began_at());
      if (at + TookOf(spans[j]) < from || at > from + TookOf(spans[i])) continue;
      shown[static_cast<size_t>(j)] = true;
      table.AddSpan(spans[j], 2);
    }
  }
  // What an earlier daemon asked for.
  for (int i = 0; i < spans.size(); ++i) {
    if (spans[i].source() == Span::SOURCE_SHIM && !shown[static_cast<size_t>(i)]) {
      table.AddSpan(spans[i], 0);
    }
  }
  return table;
}

absl::StatusOr<int> Explain(const Context& context, const ExplainArguments& arguments) {
  BERTH_ASSIGN_OR_RETURN(const Format format, ParseFormat(arguments.format));
  BERTH_ASSIGN_OR_RETURN(const Connection connection, context.Connect());
  BERTH_ASSIGN_OR_RETURN(const care::v1::ExplainResponse explained,
                         CareClient(connection).Explain(arguments.rest[0]));
  if (explained.spans().empty()) {
    return absl::NotFoundError(
        absl::StrCat("nothing is known of the steps of ", arguments.rest[0],
                     ": the server remembers the tasks that it made last, and a shim knows while "
                     "it lives (",
                     explained.shim_problem(), ")"));
  }
  TableOf(explained).listing().Print(format);
  return kExitOk;
}

}  // namespace

void AddExplain(Command root, const Context& context) {
  auto arguments = std::make_shared<ExplainArguments>();
  root.Add("explain", "Show where the time of a container's create, start and delete went")
      .Option("--format FORMAT", arguments->format, "table or json (default: table)")
      .Rest({"CONTAINER", 1, 1}, arguments->rest)
      .Examples("  berth explain web\n  berth explain --format json web\n")
      .Do([&context, arguments] { return Explain(context, *arguments); });
}

}  // namespace berth::client
