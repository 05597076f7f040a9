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
                      if (!posted) {
                        (*answer)(absl::ResourceExhaustedError(
                            "too many calls are waiting to be served; try again in a moment"));
                      }
                    });
}

}  // namespace berth
