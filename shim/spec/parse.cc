#include "shim/spec/parse.h"

#include <sched.h>

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/json/document.h"
#include "base/status/status_macros.h"
#include "shim/spec/field.h"
#include "shim/spec/parse_parts.h"

namespace berth::spec {
namespace {

std::vector<Hook> ReadHookList(const Field& list) {
  std::vector<Hook> hooks;
  list.ForEach([&](const Field& entry) {
    Hook hook;
    const Field path = entry.Get("path");
    hook.path = path.String();
    if (hook.path.empty() || hook.path[0] != '/') {
      return path.Fail(absl::StrCat("must be an absolute path, found \"", hook.path, "\""));
    }
    hook.args = entry.Get("args").Strings();
    hook.env = entry.Get("env").Strings();
    const Field timeout = entry.Get("timeout");
    if (std::optional<int64_t> seconds = timeout.Int64()) {
      if (*seconds <= 0) return timeout.Fail("must be more than 0");
      hook.timeout = absl::Seconds(*seconds);
    }
    hooks.push_back(std::move(hook));
  });
  return hooks;
}

void ReadHooks(const Field& section, Hooks& hooks) {
  const Field prestart = section.Get("prestart");
  hooks.prestart = ReadHookList(prestart);
  const Field create_runtime = section.Get("createRuntime");
  hooks.create_runtime = ReadHookList(create_runtime);
  const Field create_container = section.Get("createContainer");
  hooks.create_container = ReadHookList(create_container);
  const Field start_container = section.Get("startContainer");
  hooks.start_container = ReadHookList(start_container);
  const Field poststart = section.Get("poststart");
  hooks.poststart = ReadHookList(poststart);
  const Field poststop = section.Get("poststop");
  hooks.poststop = ReadHookList(poststop);
}

void CheckVersion(const Field& version, LaunchPlan& plan) {
  plan.oci_version = version.String();
  if (plan.oci_version.empty()) return version.Fail("missing");
  if (!absl::StartsWith(plan.oci_version, "1.")) {
    version.Unsupported(absl::StrCat("version ", plan.oci_version,
                                     " of the OCI runtime specification; Berth knows 1.x"));
  }
}

void ReadRoot(const Field& root, LaunchPlan& plan) {
  if (!root.present()) return root.Fail("missing");
  const Field path = root.Get("path");
  plan.root_path = path.String();
  if (plan.root_path.empty()) path.Fail("missing");
  plan.root_readonly = root.Get("readonly").Boolean();
}

void CheckNames(const Field& spec, LaunchPlan& plan) {
  const Field hostname = spec.Get("hostname");
  plan.hostname = hostname.String();
  const Field domainname = spec.Get("domainname");
  plan.domainname = domainname.String();
  for (const auto& [field, text] :
       {std::pair(&hostname, &plan.hostname), std::pair(&domainname, &plan.domainname)}) {
    if (text->empty()) continue;
    if (text->size() > 64) field->Fail("must be at most 64 bytes long");
    if (plan.FindNamespace(CLONE_NEWUTS) == nullptr) {
      field->Fail("needs a uts namespace in $.linux.namespaces: it would change the host's");
    }
  }
}

void ReadSpec(const Field& spec, LaunchPlan& plan) {
  if (spec.value().kind() != json::Kind::kObject) return spec.Fail("expected an object");
  const Field version = spec.Get("ociVersion");
  CheckVersion(version, plan);
  const Field root = spec.Get("root");
  ReadRoot(root, plan);
  const Field process = spec.Get("process");
  if (!process.present()) {
    process.Fail("missing");
  } else {
    ReadProcess(process, plan.process, plan.warnings);
  }
  const Field mounts = spec.Get("mounts");
  ReadMounts(mounts, plan);
  const Field hooks = spec.Get("hooks");
  ReadHooks(hooks, plan.hooks);
  const Field annotations = spec.Get("annotations");
  plan.annotations_json = annotations.RawObject();
  const Field section = spec.Get("linux");
  if (!section.present()) return section.Fail("missing: Berth runs Linux containers");
  ReadLinux(section, plan);
  if (plan.FindNamespace(CLONE_NEWNS) == nullptr) {
    section.Get("namespaces")
        .Unsupported("no mount namespace: the container's mounts would appear on the host");
  }
  CheckNames(spec, plan);
}

}  // namespace

const NamespacePlan* LaunchPlan::FindNamespace(int clone_flag) const {
  for (const NamespacePlan& ns : namespaces) {
    if (ns.clone_flag == clone_flag) return &ns;
  }
  return nullptr;
}

bool LaunchPlan::NewNamespace(int clone_flag) const {
  const NamespacePlan* ns = FindNamespace(clone_flag);
  return ns != nullptr && ns->path.empty();
}

absl::StatusOr<LaunchPlan> ParseSpec(std::string json) {
  BERTH_ASSIGN_OR_RETURN(json::Document document, json::Document::Parse(std::move(json)),
                         _ << "config.json");
  Decoder decoder;
  LaunchPlan plan;
  ReadSpec(Field(decoder, document.root()), plan);
  BERTH_RETURN_IF_ERROR(decoder.status()) << "config.json";
  return plan;
}

absl::StatusOr<ProcessPlan> ParseProcess(std::string json, std::vector<std::string>& warnings) {
  BERTH_ASSIGN_OR_RETURN(json::Document document, json::Document::Parse(std::move(json)),
                         _ << "process");
  Decoder decoder("$.process");
  ProcessPlan plan;
  const Field process(decoder, document.root());
  if (document.root().kind() != json::Kind::kObject) process.Fail("expected an object");
  ReadProcess(process, plan, warnings);
  BERTH_RETURN_IF_ERROR(decoder.status());
  return plan;
}

absl::StatusOr<Resources> ParseResources(std::string json) {
  BERTH_ASSIGN_OR_RETURN(json::Document document, json::Document::Parse(std::move(json)),
                         _ << "resources");
  Decoder decoder("$.linux.resources");
  Resources resources;
  const Field section(decoder, document.root());
  if (document.root().kind() != json::Kind::kObject) section.Fail("expected an object");
  ReadResources(section, resources);
  BERTH_RETURN_IF_ERROR(decoder.status());
  return resources;
}

}  // namespace berth::spec
