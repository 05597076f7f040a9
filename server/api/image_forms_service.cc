#include "server/api/image_forms_service.h"

#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/grpc/unary.h"
#include "base/status/status_macros.h"
#include "server/api/caller_of.h"

namespace berth {
namespace {

namespace api = ::berth::images::v1;

constexpr char kDefaultSnapshotter[] = "overlayfs";

absl::StatusOr<image::ConvertRequest> FromProto(const api::ConvertRequest& request) {
  image::ConvertRequest convert;
  convert.source = request.source();
  convert.target = request.target();
  if (request.format() == api::ConvertRequest::OCI) convert.format = image::DocumentFormat::kOci;
  if (request.format() == api::ConvertRequest::DOCKER) {
    convert.format = image::DocumentFormat::kDocker;
  }
  switch (request.compression()) {
    case api::ConvertRequest::NONE:
      convert.packing = image::LayerPacking::kNone;
      break;
    case api::ConvertRequest::GZIP:
      convert.packing = image::LayerPacking::kGzip;
      break;
    case api::ConvertRequest::ZSTD:
      convert.packing = image::LayerPacking::kZstd;
      break;
    default:
      break;
  }
  for (const std::string& text : request.platforms()) {
    BERTH_ASSIGN_OR_RETURN(image::Platform platform, image::ParsePlatform(text));
    convert.platforms.push_back(std::move(platform));
  }
  return convert;
}

// Runs `work` on the executor; what cannot be begun is answered.
template <typename Response, typename Work>
void Begin(Executor& executor, std::shared_ptr<Done<Response>> answer, Work work) {
  const bool posted = executor.Post([answer, work = std::move(work)]() mutable {
    if (const absl::Status status = work(); !status.ok()) (*answer)(status);
  });
  if (!posted) {
    (*answer)(absl::ResourceExhaustedError(
        "too many calls are waiting to be served; try again in a moment"));
  }
}

}  // namespace

grpc::ServerUnaryReactor* ImageFormsService::Convert(grpc::CallbackServerContext* context,
                                                     const api::ConvertRequest* request,
                                                     api::ConvertResponse* response) {
  return UnaryAsync(
      context, request, response,
      [this](const CallInfo& info, const api::ConvertRequest& request,
             Done<api::ConvertResponse> done) {
        auto answer = std::make_shared<Done<api::ConvertResponse>>(std::move(done));
        Begin(parts_.executor, answer, [this, info, request, answer]() -> absl::Status {
          BERTH_ASSIGN_OR_RETURN(const metadata::Caller caller, CallerOf(info));
          BERTH_ASSIGN_OR_RETURN(image::ConvertRequest convert, FromProto(request));
          parts_.converter.Convert(caller, std::move(convert),
                                   [answer](absl::StatusOr<image::ImageRecord> record) {
                                     if (!record.ok()) return (*answer)(record.status());
                                     api::ConvertResponse response;
                                     response.set_name(record->name());
                                     response.set_digest(record->target().digest());
                                     (*answer)(std::move(response));
                                   });
          return absl::OkStatus();
        });
      });
}

grpc::ServerUnaryReactor* ImageFormsService::Unpack(grpc::CallbackServerContext* context,
                                                    const api::UnpackRequest* request,
                                                    api::UnpackResponse* response) {
  return UnaryAsync(
      context, request, response,
      [this](const CallInfo& info, const api::UnpackRequest& request,
             Done<api::UnpackResponse> done) {
        auto answer = std::make_shared<Done<api::UnpackResponse>>(std::move(done));
        Begin(parts_.executor, answer, [this, info, request, answer]() -> absl::Status {
          BERTH_ASSIGN_OR_RETURN(const metadata::Caller caller, CallerOf(info));
          BERTH_ASSIGN_OR_RETURN(const image::ResolvedImage image,
                                 parts_.catalog.Find(caller, request.name()));
          parts_.unpacker.Unpack(
              caller, image,
              request.snapshotter().empty() ? kDefaultSnapshotter : request.snapshotter(),
              [answer](absl::Status status) {
                if (!status.ok()) return (*answer)(status);
                (*answer)(api::UnpackResponse());
              });
          return absl::OkStatus();
        });
      });
}

}  // namespace berth
