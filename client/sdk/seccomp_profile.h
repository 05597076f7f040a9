// The system calls that a container may make by default: docker's choice, in OCI's form. Pure
// function.
#ifndef BERTH_CLIENT_SDK_SECCOMP_PROFILE_H_
#define BERTH_CLIENT_SDK_SECCOMP_PROFILE_H_

#include <string>
#include <vector>

#include "client/sdk/json_access.h"

namespace berth::client {

// A capability opens the calls that only make sense with it.
Json DefaultSeccompProfile(const std::vector<std::string>& capabilities);

}  // namespace berth::client

#endif  // BERTH_CLIENT_SDK_SECCOMP_PROFILE_H_
