// A process of a container in the foreground of the user's terminal, from attach to its exit, over
// restarts of the server. Thread-hostile (terminal, signals).
#ifndef BERTH_CLIENT_DOCKER_FOREGROUND_H_
#define BERTH_CLIENT_DOCKER_FOREGROUND_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "client/attach/engine_session.h"
#include "client/sdk/engine_client.h"

namespace berth::client {

struct ForegroundOptions {
  std::string container;
  std::string exec_id;  // empty: the container's own process
  WithTerminal terminal = WithTerminal::kNo;
  bool attaches_stdin = false;
  bool attaches_stdout = true;
  bool attaches_stderr = true;
  SignalProxy signal_proxy = SignalProxy::kYes;
  std::string detach_keys;
  // A reader that left (`| head -1`) ends the program, as SIGPIPE does in a shell.
  bool kills_on_lost_output = false;
};

class Foreground {
 public:
  // Attaches; nothing that the process writes from now on is missed.
  static absl::StatusOr<std::unique_ptr<Foreground>> Attach(const EngineClient& client,
                                                            const ForegroundOptions& options);

  // Runs the session to its end. Answers the exit code for berth: the program's, 0 when the user
  // detached, 128 + N when signal N ended the session. `exit_code`: asks the server for the
  // program's when the stream did not tell.
  absl::StatusOr<int> Follow(const std::function<absl::StatusOr<int>()>& exit_code);

  // Whether Follow saw the process's end; else the user detached or left.
  bool has_exited() const { return has_exited_; }

 private:
  Foreground(EngineClient client, ForegroundOptions options, std::unique_ptr<EngineSession> session,
             std::unique_ptr<EngineAttach> attach)
      : client_(std::move(client)),
        options_(std::move(options)),
        session_(std::move(session)),
        attach_(std::move(attach)) {}

  absl::Status Kill(int signal) const;
  absl::StatusOr<int> Reattach();

  const EngineClient client_;
  const ForegroundOptions options_;
  std::unique_ptr<EngineSession> session_;
  std::unique_ptr<EngineAttach> attach_;
  bool has_exited_ = false;
};

// How container `id` ended, by a wait that may have broken when the server was restarted.
absl::StatusOr<int> ExitCodeOf(const EngineClient& client, EngineWait& wait, const std::string& id);

// The terminal's size, {0, 0} without one.
WindowSize TerminalSize();

}  // namespace berth::client

#endif  // BERTH_CLIENT_DOCKER_FOREGROUND_H_
