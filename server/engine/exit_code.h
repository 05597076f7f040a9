// Docker's exit codes of starts that failed, and how they travel. Pure functions.
#ifndef BERTH_SERVER_ENGINE_EXIT_CODE_H_
#define BERTH_SERVER_ENGINE_EXIT_CODE_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace berth::engine {

// The payload of a Status, and the trailer of a call, that hold such a code in decimal.
inline constexpr char kExitCodeTrailer[] = "berth-exit-code";

// 127: no such program; 126: it cannot be executed; 128: anything else.
int ExitCodeOfStart(const absl::Status& failure, absl::string_view program);
absl::Status WithExitCode(absl::Status failure, int exit_code);

}  // namespace berth::engine

#endif  // BERTH_SERVER_ENGINE_EXIT_CODE_H_
