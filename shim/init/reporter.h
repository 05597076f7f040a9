// The child's only way to speak: reports over the control socket, and an end that says why.
//
// Code after clone3 returns no Status: it calls Fail, which writes one record and ends the process.
// Nothing here allocates. Thread-hostile (it ends the process). Owned by the child's main function.
#ifndef BERTH_SHIM_INIT_REPORTER_H_
#define BERTH_SHIM_INIT_REPORTER_H_

#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"
#include "shim/init/protocol.h"

namespace berth::init {

class Reporter {
 public:
  explicit Reporter(int control) : control_(control) {}

  // The child goes on to `step`; the time of the one before is noted.
  void Begin(Step step);
  Step step() const { return step_; }

  // errno `error_number` of `what` on `object`: the parent says "step: what "object": reason".
  [[noreturn]] void Fail(int error_number, absl::string_view what, absl::string_view object = "");
  // A complete message; `error_number` decides the code.
  [[noreturn]] void FailVerbatim(int error_number, absl::string_view message);
  [[noreturn]] void FailFormat(int error_number, const char* format, ...)
      __attribute__((format(printf, 3, 4)));

  // Sends a report with descriptors (at most 4).
  void Send(ReportKind kind, const int* descriptors = nullptr, int count = 0, int32_t pid = 0);
  // Waits for `kind`. The parent's end ends the child, silently: nobody is there to hear.
  // How many descriptors came with it, in `descriptors`, which has room for `room`: kMaxJoinFiles
  // at most.
  int Await(CommandKind kind, int* descriptors = nullptr, int room = 0);

  int control() const { return control_; }
  void set_control(int control) { control_ = control; }

 private:
  [[noreturn]] void End();
  void Transmit(const int* descriptors, int count);
  void NoteTime();

  int control_;
  Step step_ = Step::kNone;
  int64_t step_began_ns_ = 0;
  Report report_;  // the buffer of every report, and the timings so far
};

}  // namespace berth::init

#endif  // BERTH_SHIM_INIT_REPORTER_H_
