#include "server/registry/push.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "base/digest/digest.h"
#include "base/digest/hasher.h"
#include "base/json/document.h"
#include "base/json/writer.h"
#include "base/status/status_macros.h"
#include "server/registry/manifest.h"
#include "server/registry/registry_error.h"
#include "server/registry/resolve.h"

namespace berth::registry {
namespace {

using worker::v1::PushResponse;

constexpr uint64_t kChunkBytes = 16u << 20;
constexpr size_t kSmallAnswer = 1u << 20;
constexpr int kFruitless = 6;
constexpr absl::Duration kFirstPause = absl::Milliseconds(250);
constexpr absl::Duration kLongestPause = absl::Seconds(30);
constexpr char kIndexType[] = "application/vnd.oci.image.index.v1+json";

class BlobPush {
 public:
  BlobPush(const worker::v1::PushRequest& request, BorrowedFd blob, HostClient& host,
           absl::FunctionRef<void(uint64_t, uint64_t)> on_progress)
      : request_(request),
        blob_(blob),
        host_(host),
        on_progress_(on_progress),
        here_(host.RepositoryHere(request.origin().repository())),
        digest_(request.target().digest()),
        size_(static_cast<uint64_t>(request.target().size())),
        what_(absl::StrCat("push blob ", digest_, " to ", host.registry(), "/",
                           request.origin().repository(), " at ", host.name())) {
    scopes_ = {RepositoryScope(here_, "pull,push")};
  }

  absl::StatusOr<PushResponse::How> Run() {
    BERTH_ASSIGN_OR_RETURN(const bool there, IsThere());
    if (there) return PushResponse::EXISTED;
    for (const std::string& from : request_.mount_from()) {
      BERTH_ASSIGN_OR_RETURN(const bool mounted, Mount(from));
      if (mounted) return PushResponse::MOUNTED;
    }
    if (location_.empty()) {
      BERTH_RETURN_IF_ERROR(Begin());
    }
    BERTH_RETURN_IF_ERROR(Send());
    return PushResponse::UPLOADED;
  }

 private:
  HostRequest Ask(const char* method, std::string path) const {
    HostRequest request;
    request.http.method = method;
    request.path = std::move(path);
    request.scopes = scopes_;
    return request;
  }

  absl::StatusOr<bool> IsThere() {
    BERTH_ASSIGN_OR_RETURN(
        const HostClient::Answer answer,
        host_.DoSmall(Ask("HEAD", absl::StrCat("/", here_, "/blobs/", digest_)), kSmallAnswer));
    if (answer.response.IsSuccess()) return true;
    if (answer.response.status == 404) return false;
    return ErrorOf(answer.response, what_);
  }

  // A registry that does not mount begins an upload instead, which is then used.
  absl::StatusOr<bool> Mount(const std::string& repository) {
    const std::string from = host_.RepositoryHere(repository);
    HostRequest request =
        Ask("POST", absl::StrCat("/", here_, "/blobs/uploads/?mount=", EscapeQuery(digest_),
                                 "&from=", EscapeQuery(from)));
    request.scopes.push_back(RepositoryScope(from, "pull"));
    request.retry = HostRequest::Retry::kNo;
    const absl::StatusOr<HostClient::Answer> answer = host_.DoSmall(request, kSmallAnswer);
    if (absl::IsCancelled(answer.status())) return answer.status();
    if (!answer.ok()) return false;  // the usual way is still open
    if (answer->response.status == 201) return true;
    if (answer->response.status == 202)
      location_ = std::string(answer->response.Header("Location"));
    return false;
  }

  absl::Status Begin() {
    BERTH_ASSIGN_OR_RETURN(
        const HostClient::Answer answer,
        host_.DoSmall(Ask("POST", absl::StrCat("/", here_, "/blobs/uploads/")), kSmallAnswer));
    if (!answer.response.IsSuccess()) return ErrorOf(answer.response, what_);
    return TakeLocation(answer.response);
  }

  absl::Status TakeLocation(const HttpResponse& response) {
    const absl::string_view location = response.Header("Location");
    if (location.empty()) {
      return absl::InvalidArgumentError(absl::StrCat(what_, ": the registry names no upload"));
    }
    location_ = std::string(location);
    return absl::OkStatus();
  }

  absl::Status Send() {
    uint64_t at = 0;
    int fruitless = 0;
    absl::Duration pause = kFirstPause;
    for (;;) {
      const uint64_t before = at;
      const absl::Status status = SendRest(at);
      if (status.ok()) return status;
      // NOT_FOUND: a registry that still wrote the cut piece down, when it was asked where it
      // stood.
      const bool again =
          absl::IsUnavailable(status) || absl::IsOutOfRange(status) || absl::IsNotFound(status);
      if (!again) return status;
      if (at > before) fruitless = 0;
      if (++fruitless >= kFruitless) return status;
      BERTH_RETURN_IF_ERROR(host_.Pause(pause));
      pause = std::min(pause * 2, kLongestPause);
      BERTH_RETURN_IF_ERROR(AskWhereItStands(at));
    }
  }

  absl::Status SendRest(uint64_t& at) {
    while (size_ - at > kChunkBytes) {
      HostRequest request = Chunk("PATCH", location_, at, kChunkBytes);
      request.http.headers.push_back(
          {"Content-Range", absl::StrCat(at, "-", at + kChunkBytes - 1)});
      BERTH_ASSIGN_OR_RETURN(const HttpResponse response, SendOne(request, at));
      BERTH_RETURN_IF_ERROR(TakeLocation(response));
      at += kChunkBytes;
    }
    const std::string last = absl::StrCat(location_, absl::StrContains(location_, '?') ? "&" : "?",
                                          "digest=", EscapeQuery(digest_));
    HostRequest request = Chunk("PUT", last, at, size_ - at);
    if (at > 0) {
      request.http.headers.push_back({"Content-Range", absl::StrCat(at, "-", size_ - 1)});
    }
    BERTH_RETURN_IF_ERROR(SendOne(request, at));
    at = size_;
    return absl::OkStatus();
  }

  HostRequest Chunk(const char* method, const std::string& path, uint64_t at,
                    uint64_t length) const {
    HostRequest request = Ask(method, AsPath(path));
    request.retry = HostRequest::Retry::kNo;
    request.http.body_file = blob_.get();
    request.http.body_offset = at;
    request.http.body_length = length;
    request.http.headers.push_back({"Content-Type", "application/octet-stream"});
    return request;
  }

  absl::StatusOr<HttpResponse> SendOne(const HostRequest& request, uint64_t at) {
    const auto on_headers = [](const HttpResponse&) { return absl::OkStatus(); };
    const auto on_body = [](absl::string_view) { return absl::OkStatus(); };
    const auto on_sent = [&](uint64_t sent) { on_progress_(at + sent, size_); };
    BERTH_ASSIGN_OR_RETURN(const HttpResponse response,
                           host_.Do(request, {on_headers, on_body, on_sent}), _ << what_);
    if (!response.IsSuccess()) return ErrorOf(response, what_);
    return response;
  }

  // After a cut: how much the registry has of the upload; a forgotten one begins anew.
  absl::Status AskWhereItStands(uint64_t& at) {
    const absl::StatusOr<HostClient::Answer> answer =
        host_.DoSmall(Ask("GET", AsPath(location_)), kSmallAnswer);
    if (absl::IsCancelled(answer.status())) return answer.status();
    uint64_t last = 0;
    if (answer.ok() && answer->response.IsSuccess()) {
      const absl::string_view range = answer->response.Header("Range");
      const size_t dash = range.find('-');
      if (dash != range.npos && absl::SimpleAtoi(range.substr(dash + 1), &last) && last < size_) {
        at = last == 0 ? 0 : last + 1;  // "0-0" is what an empty upload says
        if (!answer->response.Header("Location").empty()) {
          return TakeLocation(answer->response);
        }
        return absl::OkStatus();
      }
    }
    at = 0;
    return Begin();
  }

  // A Location is absolute, or begins at the root of the host: never below our base path.
  std::string AsPath(const std::string& location) const {
    if (absl::StartsWith(location, "http://") || absl::StartsWith(location, "https://")) {
      return location;
    }
    return absl::StrCat("//", location);
  }

  const worker::v1::PushRequest& request_;
  const BorrowedFd blob_;
  HostClient& host_;
  const absl::FunctionRef<void(uint64_t, uint64_t)> on_progress_;
  const std::string here_;
  const std::string digest_;
  const uint64_t size_;
  const std::string what_;
  std::vector<std::string> scopes_;
  std::string location_;
};

absl::StatusOr<HttpResponse> PutManifest(HostClient& host, const std::string& repository,
                                         const std::string& object, const std::string& media_type,
                                         const std::string& bytes) {
  const std::string here = host.RepositoryHere(repository);
  HostRequest request;
  request.http.method = "PUT";
  request.http.headers.push_back({"Content-Type", media_type});
  request.http.body = bytes;
  request.path = absl::StrCat("/", here, "/manifests/", object);
  request.scopes = {RepositoryScope(here, "pull,push")};
  BERTH_ASSIGN_OR_RETURN(HostClient::Answer answer, host.DoSmall(request, kSmallAnswer));
  if (!answer.response.IsSuccess()) {
    return ErrorOf(answer.response, absl::StrCat("push manifest ", object, " to ", host.registry(),
                                                 "/", repository, " at ", host.name()));
  }
  return std::move(answer.response);
}

void WriteReferrer(json::Writer& writer, const worker::v1::PushManifestRequest& request,
                   const std::string& bytes) {
  const auto document = json::Document::Parse(bytes);
  const json::Value root = document.ok() ? document->root() : json::Value();
  std::string artifact(root.Find("artifactType").text());
  if (artifact.empty()) artifact = std::string(root.Find("config").Find("mediaType").text());
  writer.BeginObject();
  writer.Key("mediaType").String(request.target().media_type());
  writer.Key("digest").String(request.target().digest());
  writer.Key("size").Int(request.target().size());
  if (!artifact.empty()) writer.Key("artifactType").String(artifact);
  if (root.Find("annotations").kind() == json::Kind::kObject) {
    writer.Key("annotations").Raw(root.Find("annotations").raw());
  }
  writer.EndObject();
}

// The index under the subject's tag, with one entry more.
absl::Status EnterReferrer(HostClient& host, const worker::v1::PushManifestRequest& request,
                           const std::string& bytes, const std::string& subject) {
  const std::string& repository = request.origin().repository();
  const std::string tag = absl::StrReplaceAll(subject, {{":", "-"}});
  const absl::StatusOr<Manifest> old = FetchManifest(host, repository, tag);
  if (!old.ok() && !absl::IsNotFound(old.status())) return old.status();
  json::Writer writer;
  writer.BeginObject();
  writer.Key("schemaVersion").Int(2);
  writer.Key("mediaType").String(kIndexType);
  writer.Key("manifests").BeginArray();
  if (old.ok()) {
    const auto document = json::Document::Parse(old->bytes);
    BERTH_RETURN_IF_ERROR(document.status());
    for (const auto& member : document->root().Find("manifests")) {
      if (member.value().Find("digest").text() == request.target().digest()) {
        return absl::OkStatus();  // it stands there already
      }
      writer.Raw(member.value().raw());
    }
  }
  WriteReferrer(writer, request, bytes);
  writer.EndArray().EndObject();
  return PutManifest(host, repository, tag, kIndexType, writer.Take()).status();
}

}  // namespace

absl::StatusOr<PushResponse> Push(const worker::v1::PushRequest& request, BorrowedFd blob,
                                  const Context& context,
                                  absl::FunctionRef<void(uint64_t, uint64_t)> on_progress) {
  BERTH_RETURN_IF_ERROR(Digest::Parse(request.target().digest()));
  if (request.target().size() < 0) return absl::InvalidArgumentError("a size is negative");
  PushResponse response;
  BERTH_RETURN_IF_ERROR(
      TryHosts(request.origin(), Capability::kPush, context, [&](HostClient& host) -> absl::Status {
        response.set_host(host.name());
        BlobPush push(request, blob, host, on_progress);
        BERTH_ASSIGN_OR_RETURN(const PushResponse::How how, push.Run());
        response.set_how(how);
        return absl::OkStatus();
      }));
  return response;
}

absl::StatusOr<worker::v1::PushManifestResponse> PushManifest(
    const worker::v1::PushManifestRequest& request, const std::string& bytes,
    const Context& context) {
  BERTH_RETURN_IF_ERROR(Digest::Parse(request.target().digest()));
  const std::string subject = SubjectOf(bytes);
  worker::v1::PushManifestResponse response;
  BERTH_RETURN_IF_ERROR(
      TryHosts(request.origin(), Capability::kPush, context, [&](HostClient& host) -> absl::Status {
        response.set_host(host.name());
        const std::string& object =
            request.tag().empty() ? request.target().digest() : request.tag();
        BERTH_ASSIGN_OR_RETURN(const HttpResponse answer,
                               PutManifest(host, request.origin().repository(), object,
                                           request.target().media_type(), bytes));
        // Registries that keep the list themselves say so by this header.
        if (subject.empty() || !answer.Header("OCI-Subject").empty()) return absl::OkStatus();
        return EnterReferrer(host, request, bytes, subject);
      }));
  return response;
}

}  // namespace berth::registry
