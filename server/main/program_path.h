// Where the programs that berthd starts are.
//
// Thread-safe function.
#ifndef BERTH_SERVER_MAIN_PROGRAM_PATH_H_
#define BERTH_SERVER_MAIN_PROGRAM_PATH_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace berth {

// `configured`, or where it is empty `name` beside berthd's own program: those two were installed
// together.
absl::StatusOr<std::string> ProgramPath(absl::string_view configured, absl::string_view name);

}  // namespace berth

#endif  // BERTH_SERVER_MAIN_PROGRAM_PATH_H_
