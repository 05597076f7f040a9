#include "client/sdk/image_client.h"

#include "absl/strings/str_cat.h"
#include "base/status/status_macros.h"
#include "client/sdk/stubs.h"
#include "client/sdk/unary.h"

namespace berth::client {

namespace api = containerd::services::images::v1;

absl::StatusOr<ImageRecord> ImageClient::Get(absl::string_view name) const {
  api::GetImageRequest request;
  request.set_name(std::string(name));
  BERTH_ASSIGN_OR_RETURN(
      api::GetImageResponse response,
      Unary(connection_, *connection_.stubs().images, &api::Images::Stub::Get, request));
  return std::move(*response.mutable_image());
}

absl::StatusOr<std::vector<ImageRecord>> ImageClient::List(
    const std::vector<std::string>& filters) const {
  api::ListImagesRequest request;
  for (const std::string& filter : filters) request.add_filters(filter);
  BERTH_ASSIGN_OR_RETURN(
      const api::ListImagesResponse response,
      Unary(connection_, *connection_.stubs().images, &api::Images::Stub::List, request));
  return std::vector<ImageRecord>(response.images().begin(), response.images().end());
}

absl::Status ImageClient::Put(const ImageRecord& image) const {
  api::CreateImageRequest create;
  *create.mutable_image() = image;
  const absl::Status created =
      Unary(connection_, *connection_.stubs().images, &api::Images::Stub::Create, create).status();
  if (!absl::IsAlreadyExists(created)) return created;
  api::UpdateImageRequest update;
  *update.mutable_image() = image;
  update.mutable_update_mask()->add_paths("target");
  for (const auto& [key, value] : image.labels()) {
    update.mutable_update_mask()->add_paths(absl::StrCat("labels.", key));
  }
  return Unary(connection_, *connection_.stubs().images, &api::Images::Stub::Update, update)
      .status();
}

absl::Status ImageClient::SetLabels(absl::string_view name,
                                    const std::map<std::string, std::string>& labels) const {
  api::UpdateImageRequest request;
  request.mutable_image()->set_name(std::string(name));
  for (const auto& [key, value] : labels) {
    (*request.mutable_image()->mutable_labels())[key] = value;
    request.mutable_update_mask()->add_paths(absl::StrCat("labels.", key));
  }
  return Unary(connection_, *connection_.stubs().images, &api::Images::Stub::Update, request)
      .status();
}

absl::Status ImageClient::Delete(absl::string_view name, Collect collect) const {
  api::DeleteImageRequest request;
  request.set_name(std::string(name));
  request.set_sync(collect == Collect::kBeforeAnswer);
  return Unary(connection_, *connection_.stubs().images, &api::Images::Stub::Delete, request)
      .status();
}

}  // namespace berth::client
