// The processes of a container in the words of the host's ps. Blocks for the program.
#ifndef BERTH_SERVER_ENGINE_PROCESS_LIST_H_
#define BERTH_SERVER_ENGINE_PROCESS_LIST_H_

#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "proto/berth/engine/v1/view.pb.h"

namespace berth::engine {

// Runs `ps` with `arguments` ("-ef" when there are none) and keeps the lines of `pids`. Errors:
// INVALID_ARGUMENT when ps refuses them or prints no PID column; NOT_FOUND without ps.
absl::StatusOr<v1::TopResponse> ListProcesses(const std::vector<std::string>& arguments,
                                              const std::set<uint32_t>& pids);
// From what ps printed.
absl::StatusOr<v1::TopResponse> ParsePs(const std::string& output, const std::set<uint32_t>& pids);

}  // namespace berth::engine

#endif  // BERTH_SERVER_ENGINE_PROCESS_LIST_H_
