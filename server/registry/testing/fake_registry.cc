#include "server/registry/testing/fake_registry.h"

#include <algorithm>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/digest/hasher.h"

namespace berth::registry::testing {
namespace {

FakeResponse Error(int status, const std::string& code) {
  FakeResponse response;
  response.status = status;
  response.body =
      absl::StrCat("{\"errors\":[{\"code\":\"", code, "\",\"message\":\"the fake says so\"}]}");
  response.headers = {{"Content-Type", "application/json"}};
  return response;
}

FakeResponse Empty(int status, std::vector<std::pair<std::string, std::string>> headers) {
  FakeResponse response;
  response.status = status;
  response.headers = std::move(headers);
  return response;
}

}  // namespace

FakeRegistry::FakeRegistry()
    : server_(std::make_unique<FakeServer>([this](const FakeRequest& r) { return Handle(r); })) {}

std::string FakeRegistry::AddBlob(const std::string& repository, const std::string& bytes) {
  const std::string digest = HashString(bytes).text();
  blobs[repository][digest] = bytes;
  return digest;
}

std::string FakeRegistry::AddManifest(const std::string& repository, const std::string& tag,
                                      const std::string& bytes, const std::string& media_type) {
  const std::string digest = HashString(bytes).text();
  manifests[repository][digest] = {media_type, bytes};
  if (!tag.empty()) manifests[repository][tag] = {media_type, bytes};
  return digest;
}

worker::v1::Origin FakeRegistry::OriginOf(const std::string& repository) const {
  worker::v1::Origin origin;
  origin.set_registry("registry.test");
  origin.set_repository(repository);
  worker::v1::Host& host = *origin.add_hosts();
  host.set_scheme("http");
  host.set_host(address());
  host.set_can_pull(true);
  host.set_can_resolve(true);
  host.set_can_push(true);
  host.set_can_refer(true);
  return origin;
}

size_t FakeRegistry::CountRequests(const std::string& begin) const {
  size_t count = 0;
  for (const FakeRequest& request : server_->requests()) {
    if (absl::StartsWith(absl::StrCat(request.method, " ", request.target), begin)) ++count;
  }
  return count;
}

bool FakeRegistry::IsAuthorized(const FakeRequest& request) const {
  const std::string value = request.Header("authorization");
  switch (auth) {
    case Auth::kNone:
      return true;
    case Auth::kBasic:
      return value == absl::StrCat("Basic ", absl::Base64Escape(absl::StrCat(user, ":", password)));
    case Auth::kToken:
      return value == "Bearer good-token";
  }
  return false;
}

FakeResponse FakeRegistry::Handle(const FakeRequest& request) {
  FakeResponse response = Dispatch(request);
  if (meddle) meddle(request, response);
  return response;
}

FakeResponse FakeRegistry::GiveToken(const FakeRequest& request) {
  const bool by_identity = absl::StrContains(request.body, "refresh_token=identity");
  const bool by_password =
      request.Header("authorization") ==
      absl::StrCat("Basic ", absl::Base64Escape(absl::StrCat(user, ":", password)));
  if (!by_identity && !by_password) return Error(401, "UNAUTHORIZED");
  FakeResponse response;
  response.body = absl::StrCat(
      "{\"token\":\"good-token\",\"expires_in\":300",
      request.Query("offline_token") == "true" ? ",\"refresh_token\":\"identity\"" : "", "}");
  return response;
}

FakeResponse FakeRegistry::Dispatch(const FakeRequest& request) {
  std::string path = request.path();
  if (path == "/token") return GiveToken(request);
  if (!IsAuthorized(request)) {
    FakeResponse refused = Error(401, "UNAUTHORIZED");
    refused.headers.push_back(
        {"WWW-Authenticate",
         auth == Auth::kBasic
             ? "Basic realm=\"fake\""
             : absl::StrCat("Bearer realm=\"http://", address(), "/token\",service=\"fake\"")});
    return refused;
  }
  if (!absl::StartsWith(path, "/v2/")) return Error(404, "NOT_FOUND");
  path.erase(0, 4);
  if (path.empty()) return FakeResponse();
  for (const char* kind : {"/manifests/", "/blobs/uploads/", "/blobs/", "/referrers/", "/tags/"}) {
    const size_t at = path.rfind(kind);
    if (at == std::string::npos) continue;
    const std::string repository = path.substr(0, at);
    const std::string object = path.substr(at + std::string(kind).size());
    const std::string name = kind;
    if (name == "/manifests/") {
      return request.method == "PUT" ? PutManifest(repository, object, request)
                                     : GetManifest(repository, object);
    }
    if (name == "/blobs/uploads/") return Upload(repository, object, request);
    if (name == "/blobs/") return GetBlob(repository, object, request);
    if (name == "/referrers/") return GetReferrers(repository, object);
    FakeResponse tags;
    tags.body = "{\"name\":\"x\",\"tags\":[\"a\",\"b\"]}";
    if (request.Query("last").empty()) {
      tags.headers.push_back(
          {"Link", absl::StrCat("</v2/", repository, "/tags/list?last=b>; rel=\"next\"")});
    } else {
      tags.body = "{\"tags\":[\"c\"]}";
    }
    return tags;
  }
  return Error(404, "NOT_FOUND");
}

FakeResponse FakeRegistry::GetManifest(const std::string& repository, const std::string& object) {
  const auto& here = manifests[repository];
  const auto found = here.find(object);
  if (found == here.end()) return Error(404, "MANIFEST_UNKNOWN");
  FakeResponse response;
  response.body = found->second.bytes;
  response.headers = {{"Content-Type", found->second.media_type},
                      {"Docker-Content-Digest", HashString(found->second.bytes).text()}};
  return response;
}

FakeResponse FakeRegistry::PutManifest(const std::string& repository, const std::string& object,
                                       const FakeRequest& request) {
  const std::string digest = AddManifest(repository, absl::StrContains(object, ':') ? "" : object,
                                         request.body, request.Header("content-type"));
  FakeResponse response = Empty(201, {{"Docker-Content-Digest", digest}});
  if (lists_referrers) response.headers.push_back({"OCI-Subject", "sha256:whatever"});
  return response;
}

FakeResponse FakeRegistry::GetBlob(const std::string& repository, const std::string& digest,
                                   const FakeRequest& request) {
  const auto& here = blobs[repository];
  const auto found = here.find(digest);
  if (found == here.end()) return Error(404, "BLOB_UNKNOWN");
  FakeResponse response;
  const std::string& bytes = found->second;
  std::string range = request.Header("range");
  if (range.empty() || !serves_ranges) {
    response.body = bytes;
    return response;
  }
  range = std::string(absl::StripPrefix(range, "bytes="));
  size_t begin = 0;
  size_t end = bytes.size() - 1;
  const size_t dash = range.find('-');
  (void)absl::SimpleAtoi(range.substr(0, dash), &begin);
  (void)absl::SimpleAtoi(range.substr(dash + 1), &end);
  if (begin >= bytes.size()) return Error(416, "RANGE");
  end = std::min(end, bytes.size() - 1);
  response.status = 206;
  response.body = bytes.substr(begin, end - begin + 1);
  response.headers = {
      {"Content-Range", absl::StrCat("bytes ", begin, "-", end, "/", bytes.size())}};
  return response;
}

FakeResponse FakeRegistry::Upload(const std::string& repository, const std::string& id,
                                  const FakeRequest& request) {
  if (request.method == "POST") {
    const std::string mount = request.Query("mount");
    const std::string from = request.Query("from");
    if (mounts && !mount.empty() && blobs[from].contains(mount)) {
      blobs[repository][mount] = blobs[from][mount];
      return Empty(201, {{"Location", absl::StrCat("/v2/", repository, "/blobs/", mount)}});
    }
    const std::string fresh = absl::StrCat("u", ++next_upload_);
    uploads[fresh] = "";
    return Empty(202, {{"Location",
                        absl::StrCat("/v2/", repository, "/blobs/uploads/", fresh, "?state=s")}});
  }
  if (!uploads.contains(id)) return Error(404, "BLOB_UPLOAD_UNKNOWN");
  std::string& bytes = uploads[id];
  const std::string location =
      absl::StrCat("http://", address(), "/v2/", repository, "/blobs/uploads/", id, "?state=s");
  const auto range = [&] { return absl::StrCat("0-", bytes.empty() ? 0 : bytes.size() - 1); };
  if (request.method == "GET") return Empty(204, {{"Location", location}, {"Range", range()}});
  size_t begin = bytes.size();
  const std::string said = request.Header("content-range");
  if (!said.empty()) (void)absl::SimpleAtoi(said.substr(0, said.find('-')), &begin);
  if (begin != bytes.size()) return Error(416, "BLOB_UPLOAD_INVALID");
  bytes += request.body;
  if (request.method == "PATCH") return Empty(202, {{"Location", location}, {"Range", range()}});
  const std::string digest = request.Query("digest");
  if (HashString(bytes).text() != digest) return Error(400, "DIGEST_INVALID");
  blobs[repository][digest] = bytes;
  uploads.erase(id);
  return Empty(201, {{"Docker-Content-Digest", digest}});
}

FakeResponse FakeRegistry::GetReferrers(const std::string& repository, const std::string& digest) {
  if (!lists_referrers) return Error(404, "NOT_FOUND");
  FakeResponse response;
  response.headers = {{"Content-Type", "application/vnd.oci.image.index.v1+json"}};
  std::string entries;
  for (const auto& [object, manifest] : manifests[repository]) {
    if (!absl::StrContains(object, ':') || !absl::StrContains(manifest.bytes, digest)) continue;
    absl::StrAppend(&entries, entries.empty() ? "" : ",", "{\"digest\":\"", object,
                    "\",\"size\":", manifest.bytes.size(), ",\"mediaType\":\"", manifest.media_type,
                    "\",\"artifactType\":\"application/x.sig\"}");
  }
  response.body = absl::StrCat("{\"schemaVersion\":2,\"manifests\":[", entries, "]}");
  return response;
}

}  // namespace berth::registry::testing
