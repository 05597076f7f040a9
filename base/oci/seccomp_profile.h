// The system calls that a container may make by default: docker's choice, in OCI's form. Pure
// function.
#ifndef BERTH_BASE_OCI_SECCOMP_PROFILE_H_
#define BERTH_BASE_OCI_SECCOMP_PROFILE_H_

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace berth::oci {

// Members keep the order in which they were added.
using Json = nlohmann::ordered_json;

// A capability opens the calls that only make sense with it.
Json DefaultSeccompProfile(const std::vector<std::string>& capabilities);

}  // namespace berth::oci

#endif  // BERTH_BASE_OCI_SECCOMP_PROFILE_H_
