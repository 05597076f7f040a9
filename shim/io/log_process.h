// The shim's side of the process that writes a log: started before the container, fed through two
// pipes, ended by their end.
//
// The pipes are the bounded buffer: while the disk does not take the log, they fill, and their
// writer waits (blocking mode) or drops (non-blocking mode, with a pipe of max-buffer-size).
// Invariant: nothing here touches the log's filesystem. A writer that dies is noticed by the
// failing pipe, and its last counters are kept. Destroying the object gives up a writer that has
// not ended: it goes on with what the pipes hold. Loop-only. Owned by a ProcessIo.
#ifndef BERTH_SHIM_IO_LOG_PROCESS_H_
#define BERTH_SHIM_IO_LOG_PROCESS_H_

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/loop/loop.h"
#include "base/os/unique_fd.h"
#include "shim/io/log_writer.h"
#include "shim/io/target.h"

namespace berth::handover {
class Packer;
class Unpacker;
}  // namespace berth::handover
namespace berth::shim::v1 {
class LogWriterState;
}  // namespace berth::shim::v1

namespace berth::io {

// A copy of this process, as fork(2) makes it; pid 0 in the copy.
struct Forked {
  pid_t pid = 0;
  UniqueFd pidfd;
};
using Fork = absl::StatusOr<Forked> (*)();

class LogProcess {
 public:
  struct Options {
    LogOptions log;
    std::string out_path = "";  // empty: not this stream
    std::string err_path = "";
    absl::Duration ready_timeout = absl::Seconds(30);
    Fork fork = nullptr;
  };
  using OnReady = absl::AnyInvocable<void(absl::Status)>;
  using OnEnd = absl::AnyInvocable<void()>;

  // `on_ready` runs once from the loop, when the files are open or cannot be.
  static absl::StatusOr<std::unique_ptr<LogProcess>> Start(Loop& loop, Options options,
                                                           OnReady on_ready);
  ~LogProcess();
  LogProcess(const LogProcess&) = delete;
  LogProcess& operator=(const LogProcess&) = delete;

  // For the program that this one becomes, and in it; once the files are open.
  void Save(handover::Packer& packer, berth::shim::v1::LogWriterState& state) const;
  static absl::StatusOr<std::unique_ptr<LogProcess>> Resume(
      Loop& loop, const berth::shim::v1::LogWriterState& state, handover::Unpacker& unpacker);

  // Where the output goes, once each; invalid for a stream without a path.
  UniqueFd TakeOut() { return std::move(out_); }
  UniqueFd TakeErr() { return std::move(err_); }

  // Both ends are closed by now: `on_end` runs once from the loop when everything is written, at
  // the latest after `limit`; a writer that is not done then is killed.
  void End(absl::Duration limit, OnEnd on_end);

  const LogCounters& counters() const { return *counters_; }

 private:
  LogProcess(Loop& loop, OnReady on_ready) : loop_(loop), on_ready_(std::move(on_ready)) {}
  absl::Status Spawn(Options options);
  absl::Status MapCounters();
  void OnReport();
  void Ready(absl::Status status);
  void OnExit();
  void Finish();

  Loop& loop_;
  OnReady on_ready_;
  OnEnd on_end_;
  UniqueFd counters_file_;           // of memory; survives this program
  LogCounters* counters_ = nullptr;  // a page of it, shared with the writer
  UniqueFd out_, err_;
  UniqueFd report_;
  std::string report_text_;
  UniqueFd pidfd_;
  bool exited_ = false;
  FdWatch report_watch_;
  FdWatch exit_watch_;
  TimerId timer_ = TimerId::kNone;
};

}  // namespace berth::io

#endif  // BERTH_SHIM_IO_LOG_PROCESS_H_
