// Berth's own calls about images, typed: other forms of an image, and unpacking. Thread-safe.
#ifndef BERTH_CLIENT_SDK_IMAGE_FORMS_CLIENT_H_
#define BERTH_CLIENT_SDK_IMAGE_FORMS_CLIENT_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "client/sdk/connection.h"

namespace berth::client {

struct Conversion {
  std::string source{};
  std::string target{};       // empty: the source's name
  std::string format{};       // oci, docker; empty: as it is
  std::string compression{};  // none, gzip, zstd; empty: as it is
  std::vector<std::string> platforms{};
};

class ImageFormsClient {
 public:
  explicit ImageFormsClient(Connection connection) : connection_(std::move(connection)) {}

  struct Converted {
    std::string name;
    std::string digest;
  };
  // Errors: INVALID_ARGUMENT for an unknown format or compression; the server's.
  absl::StatusOr<Converted> Convert(const Conversion& conversion) const;
  absl::Status Unpack(const std::string& name, const std::string& snapshotter) const;

 private:
  Connection connection_;
};

}  // namespace berth::client

#endif  // BERTH_CLIENT_SDK_IMAGE_FORMS_CLIENT_H_
