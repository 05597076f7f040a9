#include "server/api/care_service.h"

#include <map>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "base/digest/hasher.h"
#include "base/grpc/server_stream.h"
#include "base/grpc/unary.h"
#include "base/journal/journal.h"
#include "base/os/file_io.h"
#include "base/status/status_macros.h"
#include "server/content/content_store.h"
#include "server/content/lost_bytes.h"
#include "server/metadata/layer_check.h"
#include "server/metadata/namespace_store.h"
#include "server/metadata/record.h"
#include "server/task/task_manager.h"

namespace berth {
namespace {

namespace v1 = care::v1;

constexpr size_t kPage = 500;

// One walk over everything that is stored: an object at a time.
class Checking {
 public:
  Checking(content::ContentStore& content, metadata::LayerCheck& layers, bool report_only)
      : content_(content), layers_(layers), report_only_(report_only) {}

  absl::Status Open(metadata::NamespaceStore& namespaces);
  absl::StatusOr<bool> Next(v1::CheckReport& report);

 private:
  // False: it has been removed since it was listed.
  absl::StatusOr<bool> CheckBlob(const std::string& digest, const std::string& ns,
                                 v1::CheckReport& report);
  void CheckLayer(const metadata::LayerCheck::Layer& layer, v1::CheckReport& report);

  content::ContentStore& content_;
  metadata::LayerCheck& layers_;
  const bool report_only_;
  std::map<std::string, std::string> blobs_;  // digest -> a namespace that has it
  std::vector<metadata::LayerCheck::Layer> trees_;
  size_t next_tree_ = 0;
};

absl::Status Checking::Open(metadata::NamespaceStore& namespaces) {
  BERTH_ASSIGN_OR_RETURN(const auto all, namespaces.List(""));
  for (const auto& ns : all) {
    std::string after;
    do {
      BERTH_ASSIGN_OR_RETURN(auto page, content_.List({.ns = ns.name()}, {}, after, kPage));
      for (const auto& info : page.infos) blobs_.emplace(info.digest(), ns.name());
      after = std::move(page.after);
    } while (!after.empty());
  }
  BERTH_ASSIGN_OR_RETURN(trees_, layers_.List());
  return absl::OkStatus();
}

absl::StatusOr<bool> Checking::Next(v1::CheckReport& report) {
  while (!blobs_.empty()) {
    const auto blob = blobs_.extract(blobs_.begin());
    BERTH_ASSIGN_OR_RETURN(const bool is_there, CheckBlob(blob.key(), blob.mapped(), report));
    if (is_there) return true;
  }
  if (next_tree_ == trees_.size()) return false;
  CheckLayer(trees_[next_tree_++], report);
  return true;
}

absl::StatusOr<bool> Checking::CheckBlob(const std::string& digest, const std::string& ns,
                                         v1::CheckReport& report) {
  report.set_kind(v1::CheckReport::KIND_BLOB);
  report.set_name(digest);
  const auto blob = content_.OpenBlob({.ns = ns}, digest);
  if (content::IsLostBytes(blob.status())) {
    report.set_problem("its bytes are missing");
    report.set_quarantined(true);  // the record has just gone
    return true;
  }
  if (absl::IsNotFound(blob.status())) return false;
  BERTH_RETURN_IF_ERROR(blob.status());
  report.set_size_bytes(blob->size);
  BERTH_ASSIGN_OR_RETURN(const Digest recorded, Digest::Parse(digest));
  BERTH_ASSIGN_OR_RETURN(const Digest actual, HashFile(blob->fd, recorded.algorithm()));
  if (actual == recorded) return true;
  report.set_problem(absl::StrCat("its bytes hash to ", actual.text()));
  if (report_only_) return true;
  const absl::Status verified = content_.Verify({.ns = ns}, digest);
  report.set_quarantined(absl::IsDataLoss(verified));
  return true;
}

void Checking::CheckLayer(const metadata::LayerCheck::Layer& layer, v1::CheckReport& report) {
  report.set_kind(v1::CheckReport::KIND_LAYER);
  report.set_name(absl::StrCat(layer.space.ns, "/", layer.space.snapshotter, "/", layer.name));
  using Damaged = metadata::LayerCheck::Damaged;
  const auto verified = layers_.Verify(layer, report_only_ ? Damaged::kKeep : Damaged::kQuarantine);
  if (verified.ok()) return report.set_size_bytes(static_cast<uint64_t>(verified->size_bytes));
  report.set_problem(std::string(verified.status().message()));
  report.set_quarantined(!report_only_ && absl::IsDataLoss(verified.status()));
}

// What the shim has said last, and whether it can say more.
std::string StageOfShim(const std::string& state, const OperationInFlight& operation) {
  const auto journal = journal::ReadJournal(absl::StrCat(state, "/io.containerd.runtime.v2.task/",
                                                         operation.ns, "/", operation.container));
  if (!journal.ok()) return "no shim yet";
  const char* const kStages[] = {
      "free", "added", "creating (mounts, hooks)", "created", "running", "exited", "deleted"};
  const auto stage = static_cast<size_t>(journal->init.stage);
  const pid_t shim = journal->header.shim.pid;
  std::string text = absl::StrCat("container ", stage < std::size(kStages) ? kStages[stage] : "?",
                                  ", shim ", shim);
  const auto stat = ReadFile(absl::StrCat("/proc/", shim, "/stat"), 4096);
  const size_t close = stat.ok() ? stat->rfind(')') : std::string::npos;
  if (close == std::string::npos) return absl::StrCat(text, " is gone");
  switch (stat->at(close + 2)) {
    case 'T':
    case 't':
      return absl::StrCat(text, " is stopped (SIGCONT wakes it)");
    case 'D':
      return absl::StrCat(text, " is in uninterruptible sleep");
    default:
      return text;
  }
}

constexpr absl::Duration kShimPatience = absl::Seconds(5);
// For its program to look at the state of a shim, and for what is under way there to end.
constexpr absl::Duration kUpgradePatience = absl::Seconds(30);

void AddSpan(v1::Span::Source source, absl::string_view call, absl::string_view step,
             absl::Time began_at, absl::Duration took, v1::ExplainResponse& response) {
  v1::Span& span = *response.add_spans();
  span.set_source(source);
  span.set_call(std::string(call));
  span.set_step(std::string(step));
  *span.mutable_began_at() = metadata::ToTimestamp(began_at);
  span.mutable_took()->set_seconds(absl::IDivDuration(took, absl::Seconds(1), &took));
  span.mutable_took()->set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(took)));
}

void AddShimSpans(const shim::v1::GetStepsResponse& steps, v1::ExplainResponse& response) {
  for (const shim::v1::VerbSteps& verb : steps.verbs()) {
    // A shim knows how long its steps took, one after the other, and when the last one ended.
    absl::Time at = metadata::FromTimestamp(verb.ended_at());
    for (const auto& step : verb.steps()) at -= absl::Nanoseconds(step.nanoseconds());
    for (const auto& step : verb.steps()) {
      const absl::Duration took = absl::Nanoseconds(step.nanoseconds());
      AddSpan(v1::Span::SOURCE_SHIM, verb.verb(), step.name(), at, took, response);
      at += took;
    }
  }
}

}  // namespace

CareService::CareService(Parts parts) : parts_(std::move(parts)) {}
CareService::~CareService() = default;

grpc::ServerWriteReactor<v1::CheckReport>* CareService::Check(grpc::CallbackServerContext* context,
                                                              const v1::CheckRequest* request) {
  return PullStream<v1::CheckReport>(
      context, parts_.executor, request,
      [this](const CallInfo&,
             const v1::CheckRequest& request) -> absl::StatusOr<StreamSource<v1::CheckReport>> {
        auto checking =
            std::make_shared<Checking>(parts_.content, *parts_.layers, request.report_only());
        BERTH_RETURN_IF_ERROR(checking->Open(parts_.namespaces)) << "list what is stored";
        return StreamSource<v1::CheckReport>(
            [checking](v1::CheckReport& report) { return checking->Next(report); });
      });
}

grpc::ServerUnaryReactor* CareService::ListOperations(grpc::CallbackServerContext* context,
                                                      const v1::ListOperationsRequest* request,
                                                      v1::ListOperationsResponse* response) {
  return Unary(
      context, parts_.executor, request, response,
      [this](const CallInfo&,
             const v1::ListOperationsRequest&) -> absl::StatusOr<v1::ListOperationsResponse> {
        v1::ListOperationsResponse response;
        const absl::Time now = absl::Now();
        // The first of a container's calls in turn is under way; the others wait for it.
        std::map<std::pair<std::string, std::string>, std::string> first;
        for (const OperationInFlight& operation : parts_.operations->List()) {
          v1::Operation& added = *response.add_operations();
          added.set_namespace_(operation.ns);
          added.set_container(operation.container);
          added.set_call(operation.call);
          const absl::Duration age = now - operation.began;
          added.mutable_age()->set_seconds(absl::ToInt64Seconds(age));
          added.mutable_age()->set_nanos(
              static_cast<int32_t>(absl::ToInt64Nanoseconds(age) % 1'000'000'000));
          const auto [before, is_first] =
              first.emplace(std::pair(operation.ns, operation.container), operation.call);
          const bool waits = operation.order == CallOrder::kInTurn && !is_first;
          added.set_stage(waits ? absl::StrCat("waits for ", before->second)
                                : StageOfShim(parts_.state, operation));
          if (operation.order == CallOrder::kAtOnce && is_first) first.erase(before);
        }
        return response;
      });
}

grpc::ServerUnaryReactor* CareService::Explain(grpc::CallbackServerContext* context,
                                               const v1::ExplainRequest* request,
                                               v1::ExplainResponse* response) {
  return UnaryAsync(
      context, request, response,
      [this](const CallInfo& call, const v1::ExplainRequest& request,
             Done<v1::ExplainResponse> done) {
        auto shared = std::make_shared<Done<v1::ExplainResponse>>(std::move(done));
        const bool posted = parts_.executor.Post([this, call, text = request.container(), shared] {
          BeginExplain(call, text, std::move(*shared));
        });
        if (!posted) {
          (*shared)(absl::ResourceExhaustedError("the daemon is busy: try again later"));
        }
      });
}

void CareService::BeginExplain(const CallInfo& call, const std::string& text,
                               Done<v1::ExplainResponse> done) {
  if (const absl::Status named = call.RequireNamespace(); !named.ok()) return done(named);
  absl::StatusOr<std::string> id = parts_.resolve(call.ns, text);
  // The daemon may remember one that is gone.
  if (absl::IsNotFound(id.status()) && !parts_.tasks.trace().Of({call.ns, text}).empty()) id = text;
  if (!id.ok()) return done(id.status());
  v1::ExplainResponse response;
  response.set_container(*id);
  for (const LifeTrace::Span& span : parts_.tasks.trace().Of({call.ns, *id})) {
    AddSpan(v1::Span::SOURCE_DAEMON, span.call, span.step, span.began_at, span.took, response);
  }
  parts_.tasks.life().GetSteps(
      {call.ns, *id}, kShimPatience,
      [response = std::move(response),
       done = std::move(done)](const absl::StatusOr<shim::v1::GetStepsResponse>& steps) mutable {
        if (steps.ok()) {
          AddShimSpans(*steps, response);
        } else {
          response.set_shim_problem(std::string(steps.status().message()));
        }
        done(std::move(response));
      });
}

grpc::ServerUnaryReactor* CareService::UpgradeShim(grpc::CallbackServerContext* context,
                                                   const v1::UpgradeShimRequest* request,
                                                   v1::UpgradeShimResponse* response) {
  return UnaryAsync(
      context, request, response,
      [this](const CallInfo& call, const v1::UpgradeShimRequest& request,
             Done<v1::UpgradeShimResponse> done) {
        auto shared = std::make_shared<Done<v1::UpgradeShimResponse>>(std::move(done));
        const bool posted = parts_.executor.Post(
            [this, call, request, shared] { BeginUpgrade(call, request, std::move(*shared)); });
        if (!posted) {
          (*shared)(absl::ResourceExhaustedError("the daemon is busy: try again later"));
        }
      });
}

void CareService::BeginUpgrade(const CallInfo& call, const v1::UpgradeShimRequest& request,
                               Done<v1::UpgradeShimResponse> done) {
  if (const absl::Status named = call.RequireNamespace(); !named.ok()) return done(named);
  const absl::StatusOr<std::string> id = parts_.resolve(call.ns, request.container());
  if (!id.ok()) return done(id.status());
  shim::v1::UpgradeRequest upgrade;
  upgrade.set_check_only(request.check_only());
  upgrade.set_program(parts_.tasks.shim_program());
  std::shared_ptr<const ShimBinary> program;  // stays open until the shim has answered
  if (!request.program().empty()) {
    auto loaded = programs_.Load(request.program());
    if (!loaded.ok()) return done(loaded.status());
    program = *std::move(loaded);
    upgrade.set_program(program->executable_for_others());
  }
  parts_.tasks.life().Upgrade({call.ns, *id}, std::move(upgrade), kUpgradePatience,
                              [id = *id, program, done = std::move(done)](
                                  const absl::StatusOr<shim::v1::UpgradeResponse>& answer) mutable {
                                if (!answer.ok()) return done(answer.status());
                                v1::UpgradeShimResponse response;
                                response.set_container(id);
                                response.set_old_version(answer->old_version());
                                response.set_new_version(answer->new_version());
                                done(std::move(response));
                              });
}

}  // namespace berth
