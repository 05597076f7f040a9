#include "server/engine/exit_code.h"

#include "absl/strings/cord.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace berth::engine {
namespace {

constexpr int kStartFailed = 128;
constexpr int kNotExecutable = 126;
constexpr int kNotFound = 127;

}  // namespace

int ExitCodeOfStart(const absl::Status& failure, absl::string_view program) {
  const absl::string_view text = failure.message();
  // The words may as well be about a mount or the bundle: they count only beside the program.
  if (program.empty() || !absl::StrContains(text, program)) return kStartFailed;
  for (absl::string_view words :
       {"executable file not found", "no such file or directory", "not a directory"}) {
    if (absl::StrContains(text, words)) return kNotFound;
  }
  for (absl::string_view words : {"permission denied", "is a directory", "exec format error"}) {
    if (absl::StrContains(text, words)) return kNotExecutable;
  }
  return kStartFailed;
}

absl::Status WithExitCode(absl::Status failure, int exit_code) {
  // For a client 128 would look like a signal: the daemon's own failures are 125.
  failure.SetPayload(kExitCodeTrailer,
                     absl::Cord(absl::StrCat(exit_code == kStartFailed ? 125 : exit_code)));
  return failure;
}

}  // namespace berth::engine
