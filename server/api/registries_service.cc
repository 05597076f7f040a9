#include "server/api/registries_service.h"

#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/grpc/unary.h"
#include "base/reference/reference.h"
#include "base/status/status_macros.h"
#include "server/image/registry_origin.h"

namespace berth {
namespace {

absl::StatusOr<worker::v1::CheckLoginRequest> ForWorker(const RegistriesService::Request& request) {
  // The grammar of references says what a host is.
  BERTH_ASSIGN_OR_RETURN(const Reference reference,
                         Reference::Parse(absl::StrCat(request.host(), "/login")),
                         _ << "\"" << request.host() << "\" is no registry's host");
  if (reference.host() != request.host()) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", request.host(),
                     "\" is no registry's host: expected HOST[:PORT] with a dot, a port or "
                     "\"localhost\""));
  }
  image::RegistryAccess access;
  access.scheme = request.scheme();
  access.hosts_directory = request.hosts_directory();
  access.credentials.username = request.username();
  access.credentials.password = request.password();
  worker::v1::CheckLoginRequest check;
  BERTH_ASSIGN_OR_RETURN(*check.mutable_origin(),
                         image::OriginOf(reference, access, image::RegistryUse::kPull));
  check.mutable_origin()->clear_repository();
  // The registry stands last; a login is not for its mirrors.
  auto& hosts = *check.mutable_origin()->mutable_hosts();
  hosts.DeleteSubrange(0, hosts.size() - 1);
  return check;
}

struct Place {
  Reference reference;
  worker::v1::Origin origin;
};

absl::StatusOr<Place> PlaceOf(const std::string& text, const berth::images::v1::Access& from) {
  image::RegistryAccess access;
  access.scheme = from.scheme();
  access.hosts_directory = from.hosts_directory();
  access.credentials.username = from.username();
  access.credentials.password = from.password();
  access.credentials.identity_token = from.identity_token();
  BERTH_ASSIGN_OR_RETURN(Reference reference, Reference::Parse(text));
  BERTH_ASSIGN_OR_RETURN(worker::v1::Origin origin,
                         image::OriginOf(reference, access, image::RegistryUse::kPull));
  return Place{std::move(reference), std::move(origin)};
}

// Asks what `digest` is referred to by, and answers.
void AskReferrers(worker::WorkerClient& worker, const CallInfo& info,
                  worker::v1::ReferrersRequest ask,
                  std::shared_ptr<Done<RegistriesService::ListReferrersResponse>> answer) {
  const std::string digest = ask.digest();
  const uint64_t job = worker.Referrers(
      std::move(ask), [answer, digest](absl::StatusOr<worker::v1::ReferrersResponse> result) {
        if (!result.ok()) return (*answer)(result.status());
        RegistriesService::ListReferrersResponse response;
        response.set_digest(digest);
        for (const worker::v1::Descriptor& from : result->referrers()) {
          auto& to = *response.add_referrers();
          to.set_media_type(from.media_type());
          to.set_digest(from.digest());
          to.set_size(from.size());
          to.set_artifact_type(from.artifact_type());
          *to.mutable_annotations() = from.annotations();
        }
        (*answer)(std::move(response));
      });
  info.OnCancel([&worker, job] { worker.Cancel(job); });
}

absl::Status Busy() {
  return absl::ResourceExhaustedError(
      "too many calls are waiting to be served; try again in a moment");
}

}  // namespace

grpc::ServerUnaryReactor* RegistriesService::CheckLogin(grpc::CallbackServerContext* context,
                                                        const Request* request,
                                                        Response* response) {
  return UnaryAsync(context, request, response,
                    [this](const CallInfo& info, const Request& request, Done<Response> done) {
                      auto answer = std::make_shared<Done<Response>>(std::move(done));
                      const bool posted = executor_.Post([this, info, request, answer] {
                        absl::StatusOr<worker::v1::CheckLoginRequest> check = ForWorker(request);
                        if (!check.ok()) return (*answer)(check.status());
                        const uint64_t job = worker_.CheckLogin(
                            *std::move(check),
                            [answer](absl::StatusOr<worker::v1::CheckLoginResponse> result) {
                              if (!result.ok()) return (*answer)(result.status());
                              Response response;
                              response.set_identity_token(result->identity_token());
                              (*answer)(std::move(response));
                            });
                        info.OnCancel([this, job] { worker_.Cancel(job); });
                      });
                      if (!posted) (*answer)(Busy());
                    });
}

grpc::ServerUnaryReactor* RegistriesService::ListReferrers(grpc::CallbackServerContext* context,
                                                           const ListReferrersRequest* request,
                                                           ListReferrersResponse* response) {
  using Answer = Done<ListReferrersResponse>;
  return UnaryAsync(
      context, request, response,
      [this](const CallInfo& info, const ListReferrersRequest& request, Answer done) {
        auto answer = std::make_shared<Answer>(std::move(done));
        const bool posted = executor_.Post([this, info, request, answer] {
          absl::StatusOr<Place> place = PlaceOf(request.reference(), request.access());
          if (!place.ok()) return (*answer)(place.status());
          worker::v1::ReferrersRequest ask;
          *ask.mutable_origin() = place->origin;
          ask.set_artifact_type(request.artifact_type());
          if (!place->reference.digest().empty()) {
            ask.set_digest(place->reference.digest());
            return AskReferrers(worker_, info, std::move(ask), answer);
          }
          worker::v1::ResolveRequest resolve;
          *resolve.mutable_origin() = place->origin;
          resolve.set_object(place->reference.tag());
          resolve.set_head_only(true);
          const uint64_t job = worker_.Resolve(
              std::move(resolve), [this, info, ask = std::move(ask), answer](
                                      absl::StatusOr<worker::v1::ResolveResponse> result) mutable {
                if (!result.ok()) return (*answer)(result.status());
                ask.set_digest(result->target().digest());
                AskReferrers(worker_, info, std::move(ask), answer);
              });
          info.OnCancel([this, job] { worker_.Cancel(job); });
        });
        if (!posted) (*answer)(Busy());
      });
}

grpc::ServerUnaryReactor* RegistriesService::ListTags(grpc::CallbackServerContext* context,
                                                      const ListTagsRequest* request,
                                                      ListTagsResponse* response) {
  using Answer = Done<ListTagsResponse>;
  return UnaryAsync(
      context, request, response,
      [this](const CallInfo& info, const ListTagsRequest& request, Answer done) {
        auto answer = std::make_shared<Answer>(std::move(done));
        const bool posted = executor_.Post([this, info, request, answer] {
          absl::StatusOr<Place> place = PlaceOf(request.reference(), request.access());
          if (!place.ok()) return (*answer)(place.status());
          worker::v1::TagsRequest ask;
          *ask.mutable_origin() = std::move(place->origin);
          const uint64_t job = worker_.Tags(
              std::move(ask), [answer](absl::StatusOr<worker::v1::TagsResponse> result) {
                if (!result.ok()) return (*answer)(result.status());
                ListTagsResponse response;
                *response.mutable_tags() = result->tags();
                (*answer)(std::move(response));
              });
          info.OnCancel([this, job] { worker_.Cancel(job); });
        });
        if (!posted) (*answer)(Busy());
      });
}

}  // namespace berth
