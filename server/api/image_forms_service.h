// berth.images.v1.Images: what containerd's API has no call for: other forms of an image, and
// unpacking one that is here. Thread-safe; owned by server/main.
#ifndef BERTH_SERVER_API_IMAGE_FORMS_SERVICE_H_
#define BERTH_SERVER_API_IMAGE_FORMS_SERVICE_H_

#include "base/grpc/executor.h"
#include "proto/berth/images/v1/images.grpc.pb.h"
#include "server/image/image_catalog.h"
#include "server/image/image_converter.h"
#include "server/image/image_unpacker.h"

namespace berth {

class ImageFormsService final : public berth::images::v1::Images::CallbackService {
 public:
  struct Parts {
    image::ImageCatalog& catalog;
    image::ImageConverter& converter;
    image::ImageUnpacker& unpacker;
    Executor& executor;
  };
  explicit ImageFormsService(Parts parts) : parts_(parts) {}

  grpc::ServerUnaryReactor* Convert(grpc::CallbackServerContext* context,
                                    const berth::images::v1::ConvertRequest* request,
                                    berth::images::v1::ConvertResponse* response) override;
  grpc::ServerUnaryReactor* Unpack(grpc::CallbackServerContext* context,
                                   const berth::images::v1::UnpackRequest* request,
                                   berth::images::v1::UnpackResponse* response) override;

 private:
  const Parts parts_;
};

}  // namespace berth

#endif  // BERTH_SERVER_API_IMAGE_FORMS_SERVICE_H_
