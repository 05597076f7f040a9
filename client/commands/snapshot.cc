// berth snapshot: layers and roots.
#include <algorithm>
#include <map>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "base/status/status_macros.h"
#include "client/commands/documents.h"
#include "client/commands/each.h"
#include "client/commands/label_words.h"
#include "client/commands/snapshotter_choice.h"
#include "client/commands/verbs.h"
#include "client/sdk/quantities.h"
#include "client/sdk/timestamps.h"

namespace berth::client {
namespace {

// What a user makes by hand stays until the user removes it.
constexpr char kGcRoot[] = "containerd.io/gc.root";

struct SnapshotArguments {
  std::string format = "table";
  std::string target = "/mnt";
  std::vector<std::string> filters;
  std::vector<std::string> rest;
};

absl::StatusOr<SnapshotClient> Client(const Context& context) {
  BERTH_ASSIGN_OR_RETURN(const Connection connection, context.Connect());
  return SnapshotClient(connection, ChooseSnapshotter(connection, context.options().snapshotter));
}

LabelMap RootLabel() { return {{kGcRoot, FormatMoment(absl::Now())}}; }

absl::StatusOr<int> ListSnapshots(const Context& context, const SnapshotArguments& arguments) {
  BERTH_ASSIGN_OR_RETURN(const Format format, ParseFormat(arguments.format));
  BERTH_ASSIGN_OR_RETURN(const SnapshotClient snapshots, Client(context));
  BERTH_ASSIGN_OR_RETURN(const std::vector<SnapshotInfo> all, snapshots.List(arguments.filters));
  Listing listing;
  listing.AddColumn("KEY", "key", Listing::Fit::kMayBeCut);
  listing.AddColumn("PARENT", "parent", Listing::Fit::kMayBeCut);
  listing.AddColumn("KIND", "kind");
  for (const SnapshotInfo& snapshot : all) {
    listing.AddRow(
        {Cell(snapshot.name()), Cell(snapshot.parent()), Cell(SnapshotKindName(snapshot.kind()))});
  }
  listing.Print(format);
  return kExitOk;
}

// Children below their parents.
void AddBranch(const std::multimap<std::string, std::string>& children, const std::string& parent,
               int depth, std::string& text) {
  const auto [begin, end] = children.equal_range(parent);
  for (auto child = begin; child != end; ++child) {
    absl::StrAppend(&text, std::string(static_cast<size_t>(depth) * 2, ' '), child->second, "\n");
    AddBranch(children, child->second, depth + 1, text);
  }
}

absl::StatusOr<int> ShowTree(const Context& context, const SnapshotArguments& arguments) {
  BERTH_ASSIGN_OR_RETURN(const SnapshotClient snapshots, Client(context));
  BERTH_ASSIGN_OR_RETURN(const std::vector<SnapshotInfo> all, snapshots.List({}));
  std::multimap<std::string, std::string> children;
  for (const SnapshotInfo& snapshot : all) children.emplace(snapshot.parent(), snapshot.name());
  std::string text;
  AddBranch(children, "", 0, text);
  PrintText(text);
  return kExitOk;
}

absl::StatusOr<int> ShowSnapshot(const Context& context, const SnapshotArguments& arguments) {
  BERTH_ASSIGN_OR_RETURN(const SnapshotClient snapshots, Client(context));
  BERTH_ASSIGN_OR_RETURN(const SnapshotInfo info, snapshots.Stat(arguments.rest[0]));
  PrintText(absl::StrCat(Dump(SnapshotDocument(info)), "\n"));
  return kExitOk;
}

absl::StatusOr<int> ShowUsage(const Context& context, const SnapshotArguments& arguments) {
  BERTH_ASSIGN_OR_RETURN(const Format format, ParseFormat(arguments.format));
  BERTH_ASSIGN_OR_RETURN(const SnapshotClient snapshots, Client(context));
  std::vector<std::string> keys = arguments.rest;
  if (keys.empty()) {
    BERTH_ASSIGN_OR_RETURN(const std::vector<SnapshotInfo> all, snapshots.List({}));
    for (const SnapshotInfo& snapshot : all) keys.push_back(snapshot.name());
  }
  Listing listing;
  listing.AddColumn("KEY", "key", Listing::Fit::kMayBeCut);
  listing.AddColumn("SIZE", "size");
  listing.AddColumn("INODES", "inodes");
  for (const std::string& key : keys) {
    BERTH_ASSIGN_OR_RETURN(const SnapshotUsage usage, snapshots.Usage(key));
    listing.AddRow({Cell(key), Cell(FormatBytes(usage.size_bytes), Json(usage.size_bytes)),
                    Cell(absl::StrCat(usage.inodes), Json(usage.inodes))});
  }
  listing.Print(format);
  return kExitOk;
}

// A command line for each mount, ready to be run.
void PrintMounts(const Mounts& mounts, const std::string& target) {
  for (const containerd::types::Mount& mount : mounts) {
    PrintText(absl::StrCat("mount -t ", mount.type(), " ", mount.source(), " ", target,
                           mount.options_size() > 0 ? " -o " : "",
                           absl::StrJoin(mount.options(), ","), "\n"));
  }
}

absl::StatusOr<int> ShowMounts(const Context& context, const SnapshotArguments& arguments) {
  BERTH_ASSIGN_OR_RETURN(const SnapshotClient snapshots, Client(context));
  BERTH_ASSIGN_OR_RETURN(const Mounts mounts, snapshots.GetMounts(arguments.rest[1]));
  PrintMounts(mounts, arguments.rest[0]);
  return kExitOk;
}

absl::StatusOr<int> Prepare(const Context& context, const SnapshotArguments& arguments) {
  BERTH_ASSIGN_OR_RETURN(const SnapshotClient snapshots, Client(context));
  const std::string parent = arguments.rest.size() > 1 ? arguments.rest[1] : "";
  BERTH_ASSIGN_OR_RETURN(const Mounts mounts,
                         snapshots.Prepare(arguments.rest[0], parent, RootLabel()));
  PrintMounts(mounts, arguments.target);
  return kExitOk;
}

absl::StatusOr<int> View(const Context& context, const SnapshotArguments& arguments) {
  BERTH_ASSIGN_OR_RETURN(const SnapshotClient snapshots, Client(context));
  const std::string parent = arguments.rest.size() > 1 ? arguments.rest[1] : "";
  BERTH_ASSIGN_OR_RETURN(const Mounts mounts,
                         snapshots.View(arguments.rest[0], parent, RootLabel()));
  PrintMounts(mounts, arguments.target);
  return kExitOk;
}

absl::StatusOr<int> Commit(const Context& context, const SnapshotArguments& arguments) {
  BERTH_ASSIGN_OR_RETURN(const SnapshotClient snapshots, Client(context));
  BERTH_RETURN_IF_ERROR(snapshots.Commit(arguments.rest[0], arguments.rest[1], RootLabel()));
  return kExitOk;
}

absl::StatusOr<int> LabelSnapshot(const Context& context, const SnapshotArguments& arguments) {
  BERTH_ASSIGN_OR_RETURN(const auto labels, ParseLabels(arguments.rest, 1));
  BERTH_ASSIGN_OR_RETURN(const SnapshotClient snapshots, Client(context));
  BERTH_RETURN_IF_ERROR(snapshots.SetLabels(arguments.rest[0], labels));
  return kExitOk;
}

absl::StatusOr<int> RemoveSnapshots(const Context& context, const SnapshotArguments& arguments) {
  BERTH_ASSIGN_OR_RETURN(const SnapshotClient snapshots, Client(context));
  return ForEach("snapshot rm", arguments.rest,
                 [&](const std::string& key) { return snapshots.Remove(key); });
}

}  // namespace

void AddSnapshot(Command root, const Context& context) {
  auto arguments = std::make_shared<SnapshotArguments>();
  Command noun = root.Add("snapshot,snapshots", "Layers and roots of containers");
  noun.Add("ls,list", "List snapshots")
      .Option("-f,--filter", arguments->filters, "containerd's filters")
      .Option("--format", arguments->format, "table or json")
      .Rest({"", 0, 0}, arguments->rest)
      .Examples("  berth snapshot ls\n")
      .Do([&context, arguments] { return ListSnapshots(context, *arguments); });
  noun.Add("tree", "Show snapshots below their parents")
      .Rest({"", 0, 0}, arguments->rest)
      .Examples("  berth snapshot tree\n")
      .Do([&context, arguments] { return ShowTree(context, *arguments); });
  noun.Add("info", "Show a snapshot as JSON")
      .Rest({"KEY", 1, 1}, arguments->rest)
      .Examples("  berth snapshot info web\n")
      .Do([&context, arguments] { return ShowSnapshot(context, *arguments); });
  noun.Add("usage", "Show what snapshots hold, without their parents")
      .Option("--format", arguments->format, "table or json")
      .Rest({"[KEY...]", 0, -1}, arguments->rest)
      .Examples("  berth snapshot usage web\n")
      .Do([&context, arguments] { return ShowUsage(context, *arguments); });
  noun.Add("mounts", "Print the mount commands of a snapshot")
      .Rest({"TARGET KEY", 2, 2}, arguments->rest)
      .Examples("  berth snapshot mounts /mnt web | sh\n")
      .Do([&context, arguments] { return ShowMounts(context, *arguments); });
  noun.Add("prepare", "Make a snapshot to write to")
      .Option("-t,--target", arguments->target, "Directory in the printed mount command")
      .Rest({"KEY [PARENT]", 1, 2}, arguments->rest)
      .Examples("  berth snapshot prepare work sha256:6a1f...\n")
      .Do([&context, arguments] { return Prepare(context, *arguments); });
  noun.Add("view", "Make a snapshot to read")
      .Option("-t,--target", arguments->target, "Directory in the printed mount command")
      .Rest({"KEY [PARENT]", 1, 2}, arguments->rest)
      .Examples("  berth snapshot view look sha256:6a1f...\n")
      .Do([&context, arguments] { return View(context, *arguments); });
  noun.Add("commit", "Turn a written snapshot into a parent for others")
      .Rest({"NAME KEY", 2, 2}, arguments->rest)
      .Examples("  berth snapshot commit base work\n")
      .Do([&context, arguments] { return Commit(context, *arguments); });
  noun.Add("label", "Set and remove labels of a snapshot")
      .Rest({"KEY KEY=value [KEY=...]", 2, -1}, arguments->rest)
      .Examples("  berth snapshot label web kept=yes\n")
      .Do([&context, arguments] { return LabelSnapshot(context, *arguments); });
  noun.Add("rm,remove", "Remove snapshots without children")
      .Rest({"KEY [KEY...]", 1, -1}, arguments->rest)
      .Examples("  berth snapshot rm work\n")
      .Do([&context, arguments] { return RemoveSnapshots(context, *arguments); });
}

}  // namespace berth::client
