// The OCI configuration that the benchmark's containers get: what a Go client makes by default.
//
// Fourteen capabilities, five namespaces, seven mounts, masked and read-only paths, a device list,
// docker's default seccomp profile. Pure functions, thread-safe.
#ifndef BERTH_TESTS_BENCH_CONTAINER_SPEC_H_
#define BERTH_TESTS_BENCH_CONTAINER_SPEC_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace berth::bench {

enum class Network { kOwn, kHost };
enum class Filter { kDefaultSeccomp, kNone };

struct ContainerOptions {
  std::vector<std::string> arguments;
  Network network = Network::kOwn;
  Filter filter = Filter::kDefaultSeccomp;
  // A FIFO's path, another file's path or an URI (the same for both); empty: none.
  std::string standard_output = {};
  std::string standard_error = {};
};

// config.json of a container in control group /<group>/<id>.
std::string ContainerSpec(absl::string_view group, absl::string_view id,
                          const ContainerOptions& options);
// The OCI process object of an exec.
std::string ProcessSpec(const std::vector<std::string>& arguments);

}  // namespace berth::bench

#endif  // BERTH_TESTS_BENCH_CONTAINER_SPEC_H_
