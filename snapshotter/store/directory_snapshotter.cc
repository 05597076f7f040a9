#include "snapshotter/store/directory_snapshotter.h"

#include <cerrno>
#include <optional>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"
#include "snapshotter/store/tree_seal.h"

namespace berth::snapshots {
namespace {

// Long enough to look at it and to bring a database back from a copy.
constexpr absl::Duration kQuarantine = absl::Hours(24);
constexpr int kWalkBatch = 100;

absl::Status RunAlso(const AlsoInTransaction& also, sqlite::Connection& connection) {
  return also ? also(connection) : absl::OkStatus();
}

absl::Status RequireKey(absl::string_view key) {
  if (key.empty()) return absl::InvalidArgumentError("the key of a snapshot must not be empty");
  return absl::OkStatus();
}

}  // namespace

DirectorySnapshotter::DirectorySnapshotter(Description description, sqlite::Database& database,
                                           std::unique_ptr<LayerFormat> format,
                                           LayerDirectories directories)
    : description_(std::move(description)),
      database_(database),
      format_(std::move(format)),
      table_(description_.name),
      directories_(std::move(directories)) {}

DirectorySnapshotter::~DirectorySnapshotter() = default;

absl::StatusOr<std::unique_ptr<Snapshotter>> DirectorySnapshotter::Open(
    Description description, sqlite::Database& database, std::unique_ptr<LayerFormat> format) {
  const std::string context = absl::StrCat("open snapshotter ", description.name);
  BERTH_ASSIGN_OR_RETURN(LayerDirectories directories, LayerDirectories::Open(description.root),
                         _ << context);
  std::unique_ptr<DirectorySnapshotter> snapshotter(new DirectorySnapshotter(
      std::move(description), database, std::move(format), std::move(directories)));
  BERTH_RETURN_IF_ERROR(snapshotter->Reconcile()) << context;
  snapshotter->reaper_ =
      std::make_unique<LayerReaper>(database, snapshotter->directories_, *snapshotter->format_);
  return snapshotter;
}

absl::Status DirectorySnapshotter::Reconcile() {
  BERTH_ASSIGN_OR_RETURN(const std::vector<std::string> present, directories_.ListLayers());
  absl::flat_hash_set<std::string> unnamed(present.begin(), present.end());
  std::vector<Stack> missing;
  BERTH_RETURN_IF_ERROR(database_.Read([&](sqlite::Connection& connection) -> absl::Status {
    std::string after;
    while (true) {
      BERTH_ASSIGN_OR_RETURN(std::vector<LayerRecord> records,
                             table_.List(connection, after, kWalkBatch));
      if (records.empty()) return absl::OkStatus();
      after = records.back().info.name;
      for (LayerRecord& record : records) {
        if (record.directory.empty() || unnamed.erase(record.directory) > 0) continue;
        BERTH_ASSIGN_OR_RETURN(std::vector<std::string> ancestors,
                               table_.AncestorDirectories(connection, record));
        missing.push_back(Stack{std::move(record), std::move(ancestors)});
      }
    }
  }));
  for (const std::string& id : unnamed) {
    BERTH_RETURN_IF_ERROR(format_->Hide(directories_.LayerPath(id)));
    BERTH_RETURN_IF_ERROR(directories_.Quarantine(id));
  }
  for (const Stack& stack : missing) BERTH_RETURN_IF_ERROR(RecoverDirectory(stack));
  return directories_.RetireLeftovers(kQuarantine);
}

absl::Status DirectorySnapshotter::RecoverDirectory(const Stack& stack) {
  const std::string& id = stack.record.directory;
  const absl::Status restored = directories_.Restore(id);
  if (restored.ok() || ErrnoOf(restored) != ENOENT) return restored;
  if (stack.record.info.kind != Kind::kCommitted) {
    // Its making is less durable than its record; nobody can have kept anything in it.
    const std::string parent = stack.ancestors.empty() ? "" : stack.ancestors.front();
    const Info& info = stack.record.info;
    if (MakeDirectory(id, info.kind, parent, info.labels).ok()) return absl::OkStatus();
  }
  lost_.insert(id);
  return absl::OkStatus();
}

absl::Status DirectorySnapshotter::CheckOpen() const {
  if (!is_closed_.load(std::memory_order_acquire)) return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat("snapshotter ", description_.name, " is closed"));
}

absl::StatusOr<LayerRecord> DirectorySnapshotter::GetRecord(absl::string_view key) {
  BERTH_RETURN_IF_ERROR(CheckOpen());
  LayerRecord record;
  BERTH_RETURN_IF_ERROR(database_.Read([&](sqlite::Connection& connection) -> absl::Status {
    BERTH_ASSIGN_OR_RETURN(record, table_.Get(connection, key));
    return absl::OkStatus();
  }));
  return record;
}

absl::StatusOr<Info> DirectorySnapshotter::Stat(absl::string_view key) {
  BERTH_ASSIGN_OR_RETURN(LayerRecord record, GetRecord(key));
  return std::move(record.info);
}

absl::StatusOr<Info> DirectorySnapshotter::Update(const Info& info, const UpdateOptions& options) {
  BERTH_RETURN_IF_ERROR(CheckOpen());
  Info updated;
  BERTH_RETURN_IF_ERROR(database_.Write(
      sqlite::WriteMode::kDurable, [&](sqlite::Connection& connection) -> absl::Status {
        BERTH_ASSIGN_OR_RETURN(updated, table_.UpdateLabels(connection, info, options.field_paths));
        return RunAlso(options.also, connection);
      }));
  return updated;
}

absl::StatusOr<Usage> DirectorySnapshotter::Measure(const std::string& id) {
  BERTH_ASSIGN_OR_RETURN(const UniqueFd layer, directories_.OpenLayer(id));
  BERTH_ASSIGN_OR_RETURN(const UniqueFd content, format_->OpenContent(layer));
  return MeasureTree(content);
}

absl::StatusOr<Usage> DirectorySnapshotter::GetUsage(absl::string_view key) {
  BERTH_ASSIGN_OR_RETURN(const LayerRecord record, GetRecord(key));
  if (record.info.kind != Kind::kActive) return record.usage;
  BERTH_ASSIGN_OR_RETURN(const Usage usage, Measure(record.directory),
                         _ << "usage of snapshot \"" << key << "\"");
  return usage;
}

absl::StatusOr<std::vector<Mount>> DirectorySnapshotter::MountsOf(const Stack& stack) const {
  LayerStack layers;
  layers.kind = stack.record.info.kind;
  const std::string& own = stack.record.directory;
  if (!own.empty()) layers.path = directories_.LayerPath(own);
  for (const std::string& id : stack.ancestors) {
    layers.ancestors.push_back(directories_.LayerPath(id));
  }
  if (!lost_.empty()) {
    std::vector<std::string> ids = stack.ancestors;
    if (!own.empty()) ids.push_back(own);
    for (const std::string& id : ids) {
      if (!lost_.contains(id)) continue;
      return absl::DataLossError(absl::StrCat(
          "snapshot \"", stack.record.info.name, "\" needs the layer \"",
          directories_.LayerPath(id),
          "\", which is gone; remove the snapshots that use it and unpack the image again"));
    }
  }
  for (const std::string& ancestor : layers.ancestors) {
    BERTH_RETURN_IF_ERROR(format_->Show(ancestor))
        << "snapshot \"" << stack.record.info.name << "\"";
  }
  return format_->MountsOf(layers);
}

absl::StatusOr<std::vector<Mount>> DirectorySnapshotter::Mounts(absl::string_view key) {
  BERTH_RETURN_IF_ERROR(CheckOpen());
  Stack stack;
  BERTH_RETURN_IF_ERROR(database_.Read([&](sqlite::Connection& connection) -> absl::Status {
    BERTH_ASSIGN_OR_RETURN(stack.record, table_.Get(connection, key));
    BERTH_ASSIGN_OR_RETURN(stack.ancestors, table_.AncestorDirectories(connection, stack.record));
    return absl::OkStatus();
  }));
  if (stack.record.info.kind == Kind::kCommitted) {
    return absl::FailedPreconditionError(absl::StrCat(
        "snapshot \"", key, "\" is committed and has no mounts; make a view of it instead"));
  }
  return MountsOf(stack);
}

absl::Status DirectorySnapshotter::MakeDirectory(const std::string& id, Kind kind,
                                                 const std::string& parent_id,
                                                 const Labels& labels) {
  UniqueFd parent;
  if (!parent_id.empty()) {
    BERTH_ASSIGN_OR_RETURN(parent, directories_.OpenLayer(parent_id), _ << "parent");
    BERTH_RETURN_IF_ERROR(format_->Show(directories_.LayerPath(parent_id))) << "parent";
  }
  BERTH_ASSIGN_OR_RETURN(LayerDirectories::Staged staged, directories_.Stage(id));
  BERTH_RETURN_IF_ERROR(format_->Fill(staged.directory(), kind, parent, labels));
  return staged.Publish();
}

void DirectorySnapshotter::Abandon(const std::string& id) {
  format_->Hide(directories_.LayerPath(id)).IgnoreError();  // as the next line
  directories_.Retire(id).IgnoreError();  // the next start finds it without a record
  reaper_->Wake();
}

absl::StatusOr<std::vector<Mount>> DirectorySnapshotter::Create(Kind kind, absl::string_view key,
                                                                absl::string_view parent,
                                                                const CreateOptions& options) {
  BERTH_RETURN_IF_ERROR(CheckOpen());
  BERTH_RETURN_IF_ERROR(RequireKey(key));
  // A first look, so that what cannot succeed makes no directory; the insertion decides.
  std::string parent_directory;
  if (!parent.empty()) {
    BERTH_RETURN_IF_ERROR(database_.Read([&](sqlite::Connection& connection) -> absl::Status {
      BERTH_ASSIGN_OR_RETURN(LayerRecord record, table_.GetParent(connection, parent));
      parent_directory = std::move(record.directory);
      return absl::OkStatus();
    }));
  }
  std::string id;
  if (kind == Kind::kActive || parent.empty() || format_->ViewNeedsDirectory()) {
    id = LayerDirectories::NewId();
    BERTH_RETURN_IF_ERROR(MakeDirectory(id, kind, parent_directory, options.labels))
        << "prepare the directory of snapshot \"" << key << "\"";
  }
  Stack stack;
  const absl::Status inserted = database_.Write(
      sqlite::WriteMode::kDelayed, [&](sqlite::Connection& connection) -> absl::Status {
        BERTH_ASSIGN_OR_RETURN(
            stack.record,
            table_.Insert(connection, NewLayer{kind, key, parent, id, options.labels}));
        BERTH_ASSIGN_OR_RETURN(stack.ancestors,
                               table_.AncestorDirectories(connection, stack.record));
        if (!stack.ancestors.empty() && stack.ancestors.front() != parent_directory) {
          return absl::UnavailableError(
              absl::StrCat("parent snapshot \"", parent, "\" was replaced meanwhile; try again"));
        }
        return RunAlso(options.also, connection);
      });
  if (!inserted.ok()) {
    if (!id.empty()) Abandon(id);
    return inserted;
  }
  return MountsOf(stack);
}

absl::StatusOr<std::vector<Mount>> DirectorySnapshotter::Prepare(absl::string_view key,
                                                                 absl::string_view parent,
                                                                 const CreateOptions& options) {
  return Create(Kind::kActive, key, parent, options);
}

absl::StatusOr<std::vector<Mount>> DirectorySnapshotter::View(absl::string_view key,
                                                              absl::string_view parent,
                                                              const CreateOptions& options) {
  return Create(Kind::kView, key, parent, options);
}

absl::StatusOr<Usage> DirectorySnapshotter::Seal(const std::string& id) {
  BERTH_ASSIGN_OR_RETURN(const std::optional<Usage> frozen,
                         format_->Freeze(directories_.LayerPath(id)));
  if (frozen.has_value()) return *frozen;
  BERTH_ASSIGN_OR_RETURN(const UniqueFd layer, directories_.OpenLayer(id));
  BERTH_ASSIGN_OR_RETURN(const UniqueFd content, format_->OpenContent(layer));
  BERTH_ASSIGN_OR_RETURN(const Usage usage, MeasureTree(content));
  BERTH_RETURN_IF_ERROR(SealTree(content, usage, {layer, directories_.layers()}));
  return usage;
}

absl::Status DirectorySnapshotter::Commit(absl::string_view name, absl::string_view key,
                                          const CommitOptions& options) {
  BERTH_RETURN_IF_ERROR(RequireKey(name));
  BERTH_ASSIGN_OR_RETURN(const LayerRecord active, GetRecord(key));
  if (!options.parent.empty() && options.parent != active.info.parent && !format_->CanRebase()) {
    return absl::UnimplementedError(
        absl::StrCat("snapshotter ", description_.name, " cannot put snapshot \"", key,
                     "\" on a parent at commit (no capability \"rebase\"); prepare it with one"));
  }
  LayerCommit commit{key, name, options.parent, Usage{}, options.labels};
  // Views and committed ones are refused by the table, before their files are read.
  if (active.info.kind == Kind::kActive) {
    BERTH_ASSIGN_OR_RETURN(commit.usage, Seal(active.directory),
                           _ << "make snapshot \"" << key << "\" durable");
  }
  const absl::Status committed = database_.Write(
      sqlite::WriteMode::kDurable, [&](sqlite::Connection& connection) -> absl::Status {
        BERTH_ASSIGN_OR_RETURN(const LayerRecord current, table_.Get(connection, key));
        if (current.number != active.number) {
          return absl::UnavailableError(
              absl::StrCat("snapshot \"", key, "\" was replaced meanwhile; try again"));
        }
        BERTH_RETURN_IF_ERROR(table_.Commit(connection, commit));
        return RunAlso(options.also, connection);
      });
  const std::string layer = directories_.LayerPath(active.directory);
  if (!committed.ok()) {
    if (active.info.kind == Kind::kActive) format_->Thaw(layer);
    return committed;
  }
  // It is committed: what fails here is done when the layer is shown.
  format_->Settle(layer).IgnoreError();
  return absl::OkStatus();
}

absl::Status DirectorySnapshotter::Remove(absl::string_view key, const RemoveOptions& options) {
  BERTH_RETURN_IF_ERROR(CheckOpen());
  std::string directory;
  BERTH_RETURN_IF_ERROR(database_.Write(
      sqlite::WriteMode::kDelayed, [&](sqlite::Connection& connection) -> absl::Status {
        BERTH_ASSIGN_OR_RETURN(LayerRecord record, table_.Remove(connection, key));
        directory = std::move(record.directory);
        return RunAlso(options.also, connection);
      }));
  // The record is gone whatever happens here; a directory that stays is found at the next start.
  if (!directory.empty()) Abandon(directory);
  return absl::OkStatus();
}

absl::Status DirectorySnapshotter::Walk(absl::FunctionRef<absl::Status(const Info&)> visit) {
  std::string after;
  while (true) {
    BERTH_RETURN_IF_ERROR(CheckOpen());
    std::vector<LayerRecord> records;
    BERTH_RETURN_IF_ERROR(database_.Read([&](sqlite::Connection& connection) -> absl::Status {
      BERTH_ASSIGN_OR_RETURN(records, table_.List(connection, after, kWalkBatch));
      return absl::OkStatus();
    }));
    if (records.empty()) return absl::OkStatus();
    after = records.back().info.name;
    // Outside of the transaction: `visit` may call anything.
    for (const LayerRecord& record : records) BERTH_RETURN_IF_ERROR(visit(record.info));
  }
}

absl::Status DirectorySnapshotter::Cleanup() {
  BERTH_RETURN_IF_ERROR(CheckOpen());
  return reaper_->DeleteRemoved();
}

absl::Status DirectorySnapshotter::Close() {
  if (!is_closed_.exchange(true, std::memory_order_acq_rel)) reaper_->Stop();
  return absl::OkStatus();
}

}  // namespace berth::snapshots
