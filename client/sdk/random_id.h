// Identifiers that nobody has used: 12 hex digits from the kernel's random source. Thread-safe.
#ifndef BERTH_CLIENT_SDK_RANDOM_ID_H_
#define BERTH_CLIENT_SDK_RANDOM_ID_H_

#include <string>

namespace berth::client {

std::string RandomId();

}  // namespace berth::client

#endif  // BERTH_CLIENT_SDK_RANDOM_ID_H_
