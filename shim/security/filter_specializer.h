// A seccomp filter of the same meaning with a tenth of the instructions.
//
// libseccomp tests a system call's number against each number that a profile names. What a filter
// answers changes only at those numbers, and most of its neighbours have one answer: here it is
// asked for each range of numbers, and what depends on more than the number (arguments) is kept as
// the filter says it. The kernel checks, converts and compiles a filter anew for every process that
// loads it, so its length is time of each start and exec.
//
// Pure functions, thread-safe.
#ifndef BERTH_SHIM_SECURITY_FILTER_SPECIALIZER_H_
#define BERTH_SHIM_SECURITY_FILTER_SPECIALIZER_H_

#include <linux/filter.h>
#include <linux/seccomp.h>

#include <cstdint>
#include <optional>
#include <vector>

namespace berth::security {

using Filter = std::vector<struct sock_filter>;

// Nothing where `filter` has an instruction that libseccomp does not use, or where the answers of
// the two should differ at one of many points tried.
std::optional<Filter> Specialize(const Filter& filter);

// What `filter` answers (seccomp(2)), or nothing where it has an instruction as above or none left.
std::optional<uint32_t> RunFilter(const Filter& filter, const struct seccomp_data& data);

}  // namespace berth::security

#endif  // BERTH_SHIM_SECURITY_FILTER_SPECIALIZER_H_
