// The version of the command line. Immutable.
#ifndef BERTH_CLIENT_COMMANDS_CLIENT_VERSION_H_
#define BERTH_CLIENT_COMMANDS_CLIENT_VERSION_H_

namespace berth::client {

inline constexpr char kClientVersion[] = "0.1.0";

}  // namespace berth::client

#endif  // BERTH_CLIENT_COMMANDS_CLIENT_VERSION_H_
