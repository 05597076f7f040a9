// The parent's end of the control socket: reports in, commands out.
//
// Invariant: reports are handed over in the order in which the child sent them; after the end of
// file nothing more is. Loop-only. Owned by the Creation, start or exec that talks to the child.
#ifndef BERTH_SHIM_LAUNCH_REPORT_CHANNEL_H_
#define BERTH_SHIM_LAUNCH_REPORT_CHANNEL_H_

#include <sys/types.h>

#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "base/loop/loop.h"
#include "base/os/unique_fd.h"
#include "shim/init/protocol.h"

namespace berth::launch {

struct ReceivedReport {
  init::Report report;
  std::vector<UniqueFd> descriptors;
};

// What a kFailed report means to the caller.
absl::Status ToStatus(const init::Report& report);

// Receives one report from `socket`: its size, 0 at the end of file, -1 with errno. `flags` for
// recvmsg(2): MSG_DONTWAIT, or 0 to wait.
ssize_t ReceiveReport(BorrowedFd socket, int flags, ReceivedReport& out);

class ReportChannel {
 public:
  using OnReport = absl::AnyInvocable<void(ReceivedReport&)>;
  using OnEnd = absl::AnyInvocable<void()>;

  ReportChannel() = default;
  ~ReportChannel() { Close(); }
  // `on_end` is called at the end of file. Either handler may destroy the channel.
  absl::Status Open(Loop& loop, UniqueFd socket, OnReport on_report, OnEnd on_end);
  // `descriptors`: kMaxJoinFiles at most; they may be closed afterwards.
  absl::Status Send(init::CommandKind kind, const std::vector<UniqueFd>& descriptors = {});
  void Close();
  // The socket itself, after the watch has been given up.
  UniqueFd Release();

 private:
  void OnReadable();

  FdWatch watch_;
  UniqueFd socket_;
  OnReport on_report_;
  OnEnd on_end_;
  // Says to OnReadable that a handler destroyed or closed us.
  bool* gone_ = nullptr;
};

}  // namespace berth::launch

#endif  // BERTH_SHIM_LAUNCH_REPORT_CHANNEL_H_
