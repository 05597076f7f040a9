// The time during which a process that the server attached us to and the user's terminal belong
// together: raw mode, window size, signals, stdio, detach keys.
//
// Invariant: however Run ends, and when the object goes, the terminal has the mode that it had
// before. Thread-hostile (terminal and signal handlers are the process's); one at a time.
#ifndef BERTH_CLIENT_ATTACH_ENGINE_SESSION_H_
#define BERTH_CLIENT_ATTACH_ENGINE_SESSION_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/attach/detach_keys.h"
#include "client/attach/sent_input.h"
#include "client/attach/signal_pipe.h"
#include "client/attach/stdio_fifos.h"
#include "client/attach/terminal.h"
#include "client/sdk/engine_client.h"
#include "client/sdk/random_id.h"

namespace berth::client {

enum class SignalProxy { kNo, kYes };

struct EngineSessionOptions {
  WithTerminal terminal = WithTerminal::kNo;
  WithStdin stdin_attached = WithStdin::kNo;
  SignalProxy signal_proxy = SignalProxy::kYes;
  std::string detach_keys;  // empty: ctrl-p,ctrl-q
};

// What the session does to the process beside its stdio.
struct ProcessControl {
  std::function<absl::Status(int signal)> kill;
  std::function<void(const WindowSize& size)> resize;
  // Nobody reads our output any more. Without one the session ends.
  std::function<void()> on_output_lost = nullptr;
};

struct SessionEnd {
  bool is_detached = false;
  std::optional<int> exit_code;  // absent: detached, or the server went away
  absl::Status stream;           // how the call ended
  int fatal_signal = 0;          // ended us, as signals are not passed on
};

class EngineSession {
 public:
  // Errors: FAILED_PRECONDITION when a terminal is wanted and the user's stdin is none,
  // INVALID_ARGUMENT for the keys.
  static absl::StatusOr<std::unique_ptr<EngineSession>> Prepare(
      const EngineSessionOptions& options);

  // Blocks: until the process has ended and its output is written, or the user detached, or the
  // call broke; then it may be run again on another call.
  absl::StatusOr<SessionEnd> Run(EngineAttach& attach, const ProcessControl& control);

  // What the call's Open names its input.
  const std::string& input_session() const { return input_session_; }

  // Waits up to `time`, or until a signal comes that would end the program, or its key at a raw
  // terminal; other keys are kept for the program. Answers the signal, or 0.
  int Pause(absl::Duration time);

 private:
  struct Shared;

  EngineSession(const EngineSessionOptions& options, DetachKeys keys,
                std::unique_ptr<SignalPipe> signals)
      : options_(options),
        keys_(std::move(keys)),
        signals_(std::move(signals)),
        input_session_(RandomId()) {}

  void PumpOutput(EngineAttach& attach, Shared& shared);
  void PumpInput(EngineAttach& attach, Shared& shared);
  // What a call that broke did not bring to the shim. False: this one is over as well.
  bool SendAgain(EngineAttach& attach);
  void HandleSignals(const ProcessControl& control, Shared& shared);

  const EngineSessionOptions options_;
  DetachKeys keys_;
  std::unique_ptr<SignalPipe> signals_;
  std::optional<RawTerminal> raw_;
  const std::string input_session_;
  SentInput sent_;
  bool has_run_ = false;
  bool input_ended_ = false;
  int interrupts_ = 0;
};

}  // namespace berth::client

#endif  // BERTH_CLIENT_ATTACH_ENGINE_SESSION_H_
