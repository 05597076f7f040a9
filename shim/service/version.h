// The version that the shim tells. Immutable.
#ifndef BERTH_SHIM_SERVICE_VERSION_H_
#define BERTH_SHIM_SERVICE_VERSION_H_

namespace berth::service {

inline constexpr char kVersion[] = "0.1.0";

}  // namespace berth::service

#endif  // BERTH_SHIM_SERVICE_VERSION_H_
