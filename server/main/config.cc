#include "server/main/config.h"

#include "absl/strings/str_cat.h"

namespace berth {

std::string GrpcAddress(const Config& config) {
  return config.grpc.socket.address.empty() ? absl::StrCat(config.state, "/berth.sock")
                                            : config.grpc.socket.address;
}

std::string TtrpcAddress(const Config& config) {
  return config.ttrpc.address.empty() ? absl::StrCat(GrpcAddress(config), ".ttrpc")
                                      : config.ttrpc.address;
}

}  // namespace berth
