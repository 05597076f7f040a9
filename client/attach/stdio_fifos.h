// The named pipes through which a process's stdio passes between its shim and this program.
//
// Invariant: our ends are open before the paths are given to anyone, so that the shim's open never
// waits for us; the directory is removed with the object, while open ends go on working.
// Thread-compatible; owned by the command that starts the process.
#ifndef BERTH_CLIENT_ATTACH_STDIO_FIFOS_H_
#define BERTH_CLIENT_ATTACH_STDIO_FIFOS_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/os/unique_fd.h"

namespace berth::client {

enum class WithStdin { kNo, kYes };
enum class WithTerminal { kNo, kYes };

// What the API is told. An empty path means /dev/null.
struct StdioPaths {
  std::string in;
  std::string out;
  std::string err;
};

// Our ends: `in` for writing, the others for reading; all non-blocking.
struct StdioEnds {
  UniqueFd in;
  UniqueFd out;
  UniqueFd err;
};

class StdioFifos {
 public:
  // Makes a private directory below `parent` and the pipes in it. A terminal has no stderr.
  static absl::StatusOr<StdioFifos> Create(absl::string_view parent, WithStdin with_stdin,
                                           WithTerminal with_terminal);
  // Opens the pipes of a process that somebody else started. Errors: FAILED_PRECONDITION when its
  // stdio is no pipe.
  static absl::StatusOr<StdioFifos> Open(const StdioPaths& paths, WithTerminal with_terminal);

  StdioFifos(StdioFifos&& other) noexcept;
  StdioFifos& operator=(StdioFifos&&) = delete;
  ~StdioFifos();

  const StdioPaths& paths() const { return paths_; }
  StdioEnds TakeEnds() { return std::move(ends_); }

 private:
  StdioFifos() = default;

  std::string directory_;  // empty: not ours to remove
  StdioPaths paths_;
  StdioEnds ends_;
};

}  // namespace berth::client

#endif  // BERTH_CLIENT_ATTACH_STDIO_FIFOS_H_
