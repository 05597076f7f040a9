// A process's terminal or pidfd, handed to whoever asked for it, or carried between it and ours.
//
// Loop-only. Owned by the command that runs in the foreground.
#ifndef BERTH_SHIM_OCI_CONSOLE_H_
#define BERTH_SHIM_OCI_CONSOLE_H_

#include <termios.h>

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/loop/loop.h"
#include "base/os/unique_fd.h"

namespace berth::oci {

// Sends the pty's master to the unix socket at `path`, as --console-socket promises.
absl::Status SendConsole(const std::string& path, UniqueFd master);
// Sends a process's pidfd to the unix socket at `path`, as --pidfd-socket promises.
absl::Status SendPidFd(const std::string& path, BorrowedFd pidfd);

// Copies between our standard input and output and a pty, ours being in raw mode meanwhile.
class ConsolePump {
 public:
  static absl::StatusOr<std::unique_ptr<ConsolePump>> Start(Loop& loop, UniqueFd master);
  ~ConsolePump();
  ConsolePump(const ConsolePump&) = delete;
  ConsolePump& operator=(const ConsolePump&) = delete;

  // Copies what the pty still holds.
  void Drain();
  // Gives the pty the size of our terminal.
  void Resize();

 private:
  explicit ConsolePump(UniqueFd master) : master_(std::move(master)) {}
  bool Copy(int from, int to);

  UniqueFd master_;
  FdWatch output_;
  FdWatch input_;
  struct termios before_ = {};
  bool raw_ = false;
};

}  // namespace berth::oci

#endif  // BERTH_SHIM_OCI_CONSOLE_H_
