#include "server/registry/fetch.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/digest/digest.h"
#include "base/status/status_macros.h"
#include "server/registry/blob_stream.h"
#include "server/registry/manifest.h"
#include "server/registry/resolve.h"
#include "server/registry/segments.h"

namespace berth::registry {
namespace {

// A blob from here on is worth several connections, if one turns out to be slow: its first bytes
// come by one, and tell.
constexpr uint64_t kLargeBytes = 48u << 20;
constexpr uint64_t kProbeBytes = 16u << 20;
constexpr double kFastBytesPerSecond = 64e6;

class Fetcher {
 public:
  Fetcher(const worker::v1::FetchRequest& request, UploadFile& file, const Context& context)
      : request_(request), file_(file), context_(context) {}

  absl::Status FromHost(HostClient& host) {
    response_.set_host(host.name());
    const std::string& repository = request_.origin().repository();
    if (IsManifestType(request_.target().media_type())) return Manifest(host, repository);
    const std::string here = host.RepositoryHere(repository);
    BlobPart part;
    part.path = absl::StrCat("/", here, "/blobs/", file_.digest().text());
    part.scope = RepositoryScope(here, "pull");
    part.what = absl::StrCat("blob ", file_.digest().text(), " of ", host.registry(), "/",
                             repository, " at ", host.name());
    return Blob(host, std::move(part));
  }

  // A place outside the registry, named by the descriptor. Nobody's credentials are for it.
  absl::Status FromUrl(const std::string& text) {
    BERTH_ASSIGN_OR_RETURN(const Url url, ParseUrl(text));
    worker::v1::Host place;
    place.set_scheme(url.scheme);
    place.set_host(url.host);
    response_.set_host(url.host);
    HostClient host(place, url.host, context_.session, context_.cancelled);
    BlobPart part;
    part.path = url.text;
    part.what = absl::StrCat("blob ", file_.digest().text(), " at ", url.host);
    return Blob(host, std::move(part));
  }

  const worker::v1::FetchResponse& response() const { return response_; }

 private:
  absl::Status Manifest(HostClient& host, const std::string& repository) {
    BERTH_ASSIGN_OR_RETURN(const auto manifest,
                           FetchManifest(host, repository, file_.digest().text()));
    if (file_.offset() > 0) {
      BERTH_RETURN_IF_ERROR(file_.Restart());
    }
    if (file_.size() > 0 && manifest.bytes.size() != file_.size()) {
      return absl::DataLossError(absl::StrCat("manifest ", file_.digest().text(), " at ",
                                              host.name(), " has ", manifest.bytes.size(),
                                              " bytes, not ", file_.size()));
    }
    response_.set_fetched(response_.fetched() + static_cast<int64_t>(manifest.bytes.size()));
    BERTH_RETURN_IF_ERROR(file_.Append(manifest.bytes));
    return file_.CheckDigest();
  }

  absl::Status Blob(HostClient& host, BlobPart part) {
    const bool resumed = file_.offset() > 0;
    absl::Status status = Rest(host, part);
    if (status.ok()) status = file_.CheckDigest();
    // What was there before may have been the fault: once more, from the beginning.
    if (absl::IsDataLoss(status) && resumed && file_.offset() == 0) {
      status = Rest(host, part);
      if (status.ok()) status = file_.CheckDigest();
    }
    if (absl::IsDataLoss(status) && file_.offset() > 0) {
      BERTH_RETURN_IF_ERROR(file_.Restart());
    }
    return status.ok() ? status : Annotate(status, part.what);
  }

  absl::Status Rest(HostClient& host, const BlobPart& whole) {
    const auto sink = [this](absl::string_view bytes) { return file_.Append(bytes); };
    BlobPart part = whole;
    part.size = file_.size();
    part.begin = file_.offset();
    part.end = file_.size();
    if (file_.IsComplete()) return absl::OkStatus();
    BlobStream stream(host);
    const bool probes = part.size > 0 && part.end - part.begin >= kLargeBytes;
    if (probes) part.end = part.begin + kProbeBytes;
    const absl::Time start = absl::Now();
    absl::Status status = stream.Read(part, sink);
    const absl::Duration taken = absl::Now() - start;
    response_.set_fetched(response_.fetched() + static_cast<int64_t>(stream.bytes_received()));
    // What came stays, however it ended.
    const absl::Status flushed = file_.Flush();
    if (!status.ok()) return status;
    BERTH_RETURN_IF_ERROR(flushed);
    if (!probes) return absl::OkStatus();

    part.begin = part.end;
    part.end = file_.size();
    const bool fast = kProbeBytes / kFastBytesPerSecond > absl::ToDoubleSeconds(taken);
    if (fast || !stream.serves_ranges()) {
      BlobStream rest(host);
      status = rest.Read(part, sink);
      response_.set_fetched(response_.fetched() + static_cast<int64_t>(rest.bytes_received()));
    } else {
      const SegmentsResult result = ReadSegments(host, part, context_, sink);
      status = result.status;
      response_.set_fetched(response_.fetched() + static_cast<int64_t>(result.received));
    }
    const absl::Status rest_flushed = file_.Flush();
    return status.ok() ? rest_flushed : status;
  }

  const worker::v1::FetchRequest& request_;
  UploadFile& file_;
  const Context& context_;
  worker::v1::FetchResponse response_;
};

}  // namespace

absl::StatusOr<worker::v1::FetchResponse> Fetch(const worker::v1::FetchRequest& request,
                                                UniqueFd upload, UploadObserver observer,
                                                const Context& context) {
  BERTH_ASSIGN_OR_RETURN(const Digest digest, Digest::Parse(request.target().digest()));
  if (request.target().size() < 0) return absl::InvalidArgumentError("a size is negative");
  UploadFile file(std::move(upload), digest, static_cast<uint64_t>(request.target().size()),
                  std::move(observer));
  BERTH_RETURN_IF_ERROR(file.Resume());
  Fetcher fetcher(request, file, context);
  absl::Status status = TryHosts(request.origin(), Capability::kPull, context,
                                 [&](HostClient& host) { return fetcher.FromHost(host); });
  for (int i = 0; !status.ok() && !absl::IsCancelled(status) && i < request.target().urls_size();
       ++i) {
    const absl::Status other = fetcher.FromUrl(request.target().urls(i));
    status = other.ok() ? other
                        : absl::Status(status.code(),
                                       absl::StrCat(status.message(), "; then ", other.message()));
  }
  BERTH_RETURN_IF_ERROR(status);
  worker::v1::FetchResponse response = fetcher.response();
  response.set_size(static_cast<int64_t>(file.offset()));
  return response;
}

}  // namespace berth::registry
