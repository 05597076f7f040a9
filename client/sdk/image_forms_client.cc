#include "client/sdk/image_forms_client.h"

#include "absl/strings/str_cat.h"
#include "base/status/status_macros.h"
#include "client/sdk/stubs.h"
#include "client/sdk/unary.h"

namespace berth::client {
namespace {

namespace api = ::berth::images::v1;

absl::StatusOr<api::ConvertRequest::Format> FormatOf(absl::string_view text) {
  if (text.empty()) return api::ConvertRequest::KEEP_FORMAT;
  if (text == "oci") return api::ConvertRequest::OCI;
  if (text == "docker") return api::ConvertRequest::DOCKER;
  return absl::InvalidArgumentError(
      absl::StrCat("\"", text, "\" is no format of images: expected oci or docker"));
}

absl::StatusOr<api::ConvertRequest::Compression> CompressionOf(absl::string_view text) {
  if (text.empty()) return api::ConvertRequest::KEEP_COMPRESSION;
  if (text == "none") return api::ConvertRequest::NONE;
  if (text == "gzip") return api::ConvertRequest::GZIP;
  if (text == "zstd") return api::ConvertRequest::ZSTD;
  return absl::InvalidArgumentError(
      absl::StrCat("\"", text, "\" is no compression of layers: expected none, gzip or zstd"));
}

}  // namespace

absl::StatusOr<ImageFormsClient::Converted> ImageFormsClient::Convert(
    const Conversion& conversion) const {
  api::ConvertRequest request;
  request.set_source(conversion.source);
  request.set_target(conversion.target);
  BERTH_ASSIGN_OR_RETURN(const auto format, FormatOf(conversion.format));
  request.set_format(format);
  BERTH_ASSIGN_OR_RETURN(const auto compression, CompressionOf(conversion.compression));
  request.set_compression(compression);
  for (const std::string& platform : conversion.platforms) request.add_platforms(platform);
  BERTH_ASSIGN_OR_RETURN(
      const api::ConvertResponse response,
      Unary(connection_, *connection_.stubs().image_forms, &api::Images::Stub::Convert, request));
  return Converted{response.name(), response.digest()};
}

absl::Status ImageFormsClient::Unpack(const std::string& name,
                                      const std::string& snapshotter) const {
  api::UnpackRequest request;
  request.set_name(name);
  request.set_snapshotter(snapshotter);
  return Unary(connection_, *connection_.stubs().image_forms, &api::Images::Stub::Unpack, request)
      .status();
}

}  // namespace berth::client
