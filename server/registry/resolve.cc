#include "server/registry/resolve.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "base/digest/digest.h"
#include "base/digest/hasher.h"
#include "base/json/document.h"
#include "base/status/status_macros.h"
#include "server/registry/manifest.h"
#include "server/registry/registry_error.h"

namespace berth::registry {
namespace {

using worker::v1::Descriptor;

constexpr size_t kMaxInline = 1u << 20;
constexpr size_t kMaxPage = 4u << 20;
constexpr int kMaxPages = 100;
constexpr int kMaxTags = 100000;
constexpr int kMaxReferrers = 10000;
constexpr char kIndexType[] = "application/vnd.oci.image.index.v1+json";

HostRequest ManifestRequest(HostClient& host, const std::string& repository,
                            const std::string& object, const char* method) {
  const std::string here = host.RepositoryHere(repository);
  HostRequest request;
  request.http.method = method;
  request.http.headers.push_back({"Accept", AcceptManifests()});
  request.path = absl::StrCat("/", here, "/manifests/", object);
  request.scopes = {RepositoryScope(here, "pull")};
  return request;
}

std::string Wanted(const HostClient& host, const std::string& repository,
                   const std::string& object) {
  return absl::StrCat(host.registry(), "/", repository, absl::StrContains(object, ':') ? "@" : ":",
                      object, " at ", host.name());
}

// What HEAD says, where it says all of it.
absl::StatusOr<Descriptor> HeadManifest(HostClient& host, const std::string& repository,
                                        const std::string& object) {
  BERTH_ASSIGN_OR_RETURN(const HostClient::Answer answer,
                         host.DoSmall(ManifestRequest(host, repository, object, "HEAD"), 1));
  const HttpResponse& response = answer.response;
  if (!response.IsSuccess()) return ErrorOf(response, Wanted(host, repository, object));
  Descriptor descriptor;
  const absl::string_view type = response.Header("Content-Type");
  const absl::string_view digest = response.Header("Docker-Content-Digest");
  int64_t size = 0;
  const bool whole = IsManifestType(type) && Digest::Parse(digest).ok() &&
                     absl::SimpleAtoi(response.Header("Content-Length"), &size) && size > 0;
  if (!whole) return absl::NotFoundError("the registry does not say enough");
  if (absl::StrContains(object, ':') && digest != object) {
    return absl::DataLossError(absl::StrCat(Wanted(host, repository, object),
                                            ": the registry answers with another manifest, ",
                                            digest));
  }
  descriptor.set_media_type(std::string(type));
  descriptor.set_digest(std::string(digest));
  descriptor.set_size(size);
  return descriptor;
}

// The target of rel="next" of a Link header; empty where there is none.
std::string NextPage(const HttpResponse& response) {
  for (absl::string_view link : response.AllOf("Link")) {
    const size_t begin = link.find('<');
    const size_t end = link.find('>');
    if (begin == link.npos || end == link.npos || end < begin) continue;
    const std::string parameters = absl::StrReplaceAll(link.substr(end), {{"\"", ""}, {" ", ""}});
    if (absl::StrContains(parameters, "rel=next")) {
      return std::string(link.substr(begin + 1, end - begin - 1));
    }
  }
  return std::string();
}

// Pages of an answer, the next one named by Link.
absl::Status ForEachPage(HostClient& host, HostRequest request, const std::string& what,
                         absl::FunctionRef<absl::Status(HostClient::Answer&)> on_page) {
  for (int page = 0;; ++page) {
    if (page == kMaxPages) {
      return absl::InvalidArgumentError(absl::StrCat(what, ": the answer has no end"));
    }
    BERTH_ASSIGN_OR_RETURN(HostClient::Answer answer, host.DoSmall(request, kMaxPage));
    if (!answer.response.IsSuccess()) return ErrorOf(answer.response, what);
    BERTH_RETURN_IF_ERROR(on_page(answer)) << what;
    const std::string next = NextPage(answer.response);
    if (next.empty()) return absl::OkStatus();
    // Relative to the registry's root ("/v2/..."), or to the page: only the query matters.
    const size_t query = next.find('?');
    if (query == std::string::npos) return absl::OkStatus();
    request.path = absl::StrCat(request.path.substr(0, request.path.find('?')), next.substr(query));
  }
}

absl::Status TakeReferrers(const std::string& body, absl::string_view artifact_type,
                           worker::v1::ReferrersResponse& response) {
  const auto document = json::Document::Parse(body);
  BERTH_RETURN_IF_ERROR(document.status()) << "the list of referrers";
  for (const auto& member : document->root().Find("manifests")) {
    const json::Value from = member.value();
    if (!Digest::Parse(from.Find("digest").text()).ok()) continue;
    if (!artifact_type.empty() && from.Find("artifactType").text() != artifact_type) continue;
    if (response.referrers_size() == kMaxReferrers) {
      return absl::InvalidArgumentError("the list of referrers has no end");
    }
    Descriptor& to = *response.add_referrers();
    to.set_media_type(std::string(from.Find("mediaType").text()));
    to.set_digest(std::string(from.Find("digest").text()));
    to.set_size(from.Find("size").AsInt64().value_or(0));
    to.set_artifact_type(std::string(from.Find("artifactType").text()));
    for (const auto& annotation : from.Find("annotations")) {
      (*to.mutable_annotations())[std::string(annotation.key())] =
          std::string(annotation.value().text());
    }
  }
  return absl::OkStatus();
}

absl::Status ReferrersAt(HostClient& host, const worker::v1::ReferrersRequest& request,
                         worker::v1::ReferrersResponse& response) {
  const std::string& repository = request.origin().repository();
  const std::string here = host.RepositoryHere(repository);
  HostRequest ask;
  ask.path = absl::StrCat("/", here, "/referrers/", request.digest());
  if (!request.artifact_type().empty()) {
    absl::StrAppend(&ask.path, "?artifactType=", EscapeQuery(request.artifact_type()));
  }
  ask.http.headers.push_back({"Accept", kIndexType});
  ask.scopes = {RepositoryScope(here, "pull")};
  const std::string what =
      absl::StrCat("referrers of ", Wanted(host, repository, request.digest()));
  const absl::Status listed = ForEachPage(host, ask, what, [&](HostClient::Answer& answer) {
    return TakeReferrers(answer.body, request.artifact_type(), response);
  });
  if (listed.ok()) return listed;
  const bool unknown_api =
      absl::IsNotFound(listed) || absl::IsUnimplemented(listed) || absl::IsInvalidArgument(listed);
  if (!unknown_api || response.referrers_size() > 0) return listed;
  // Registries without the interface keep an index under a tag made from the digest.
  const absl::StatusOr<Manifest> index =
      FetchManifest(host, repository, absl::StrReplaceAll(request.digest(), {{":", "-"}}));
  if (absl::IsNotFound(index.status())) return absl::OkStatus();
  BERTH_RETURN_IF_ERROR(index.status());
  return TakeReferrers(index->bytes, request.artifact_type(), response);
}

}  // namespace

absl::StatusOr<Manifest> FetchManifest(HostClient& host, const std::string& repository,
                                       const std::string& object) {
  BERTH_ASSIGN_OR_RETURN(
      HostClient::Answer answer,
      host.DoSmall(ManifestRequest(host, repository, object, "GET"), kMaxManifestBytes));
  const std::string what = Wanted(host, repository, object);
  if (!answer.response.IsSuccess()) return ErrorOf(answer.response, what);
  const bool by_digest = absl::StrContains(object, ':');
  DigestAlgorithm algorithm = DigestAlgorithm::kSha256;
  if (by_digest) {
    BERTH_ASSIGN_OR_RETURN(const Digest wanted, Digest::Parse(object));
    algorithm = wanted.algorithm();
  }
  Manifest manifest;
  const Digest digest = HashString(answer.body, algorithm);
  const absl::string_view said = answer.response.Header("Docker-Content-Digest");
  const bool lies = by_digest ? digest.text() != object
                              : absl::StartsWith(said, "sha256:") && said != digest.text();
  if (lies) {
    return absl::DataLossError(absl::StrCat(what, ": the registry sent other bytes than it said (",
                                            digest.text(), "); nothing of it was kept"));
  }
  BERTH_ASSIGN_OR_RETURN(const std::string type,
                         ManifestType(answer.response.Header("Content-Type"), answer.body),
                         _ << what);
  manifest.descriptor.set_media_type(type);
  manifest.descriptor.set_digest(digest.text());
  manifest.descriptor.set_size(static_cast<int64_t>(answer.body.size()));
  manifest.bytes = std::move(answer.body);
  return manifest;
}

absl::StatusOr<worker::v1::ResolveResponse> Resolve(const worker::v1::ResolveRequest& request,
                                                    const Context& context) {
  worker::v1::ResolveResponse response;
  const std::string& repository = request.origin().repository();
  BERTH_RETURN_IF_ERROR(TryHosts(
      request.origin(), Capability::kResolve, context, [&](HostClient& host) -> absl::Status {
        response.set_host(host.name());
        if (request.head_only()) {
          absl::StatusOr<Descriptor> head = HeadManifest(host, repository, request.object());
          if (head.ok()) {
            *response.mutable_target() = *std::move(head);
            return absl::OkStatus();
          }
          // Some registries know no HEAD, or say too little: the manifest itself decides.
          if (absl::IsUnauthenticated(head.status()) || absl::IsUnavailable(head.status()) ||
              absl::IsDataLoss(head.status()) || absl::IsCancelled(head.status())) {
            return head.status();
          }
        }
        BERTH_ASSIGN_OR_RETURN(Manifest manifest,
                               FetchManifest(host, repository, request.object()));
        *response.mutable_target() = std::move(manifest.descriptor);
        if (manifest.bytes.size() <= kMaxInline) response.set_content(std::move(manifest.bytes));
        return absl::OkStatus();
      }));
  return response;
}

absl::StatusOr<worker::v1::ReferrersResponse> Referrers(const worker::v1::ReferrersRequest& request,
                                                        const Context& context) {
  BERTH_RETURN_IF_ERROR(Digest::Parse(request.digest()));
  worker::v1::ReferrersResponse response;
  BERTH_RETURN_IF_ERROR(
      TryHosts(request.origin(), Capability::kRefer, context, [&](HostClient& host) {
        response.Clear();
        return ReferrersAt(host, request, response);
      }));
  return response;
}

absl::StatusOr<worker::v1::TagsResponse> Tags(const worker::v1::TagsRequest& request,
                                              const Context& context) {
  worker::v1::TagsResponse response;
  BERTH_RETURN_IF_ERROR(TryHosts(
      request.origin(), Capability::kResolve, context, [&](HostClient& host) -> absl::Status {
        response.Clear();
        const std::string here = host.RepositoryHere(request.origin().repository());
        HostRequest ask;
        ask.path = absl::StrCat("/", here, "/tags/list");
        ask.scopes = {RepositoryScope(here, "pull")};
        const std::string what = absl::StrCat("tags of ", request.origin().registry(), "/",
                                              request.origin().repository(), " at ", host.name());
        return ForEachPage(host, ask, what, [&](HostClient::Answer& answer) -> absl::Status {
          const auto document = json::Document::Parse(answer.body);
          BERTH_RETURN_IF_ERROR(document.status());
          for (const auto& tag : document->root().Find("tags")) {
            if (response.tags_size() == kMaxTags) {
              return absl::InvalidArgumentError("the list of tags has no end");
            }
            response.add_tags(std::string(tag.value().text()));
          }
          return absl::OkStatus();
        });
      }));
  return response;
}

absl::StatusOr<worker::v1::CheckLoginResponse> CheckLogin(
    const worker::v1::CheckLoginRequest& request, const Context& context) {
  if (request.origin().hosts_size() == 0) {
    return absl::InvalidArgumentError("there is no host to log in to");
  }
  worker::v1::CheckLoginResponse response;
  HostClient host(request.origin().hosts(0), request.origin().registry(), context.session,
                  context.cancelled);
  BERTH_ASSIGN_OR_RETURN(const std::string identity_token, host.CheckLogin());
  response.set_identity_token(identity_token);
  return response;
}

}  // namespace berth::registry
