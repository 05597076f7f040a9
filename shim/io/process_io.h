// The standard streams of one process, between the container and what its client named.
//
//   without a terminal:  client FIFO <- splice - pipe <- process      (logger: pipe <- process)
//   with a terminal:     client FIFO <- copy - master | slave <- process
//   a log:               file <- writer process <- pipe <- one of the above
//
// What passes is copied to the clients of the attach hub as well. Invariant: nothing blocks the
// loop, buffers are bounded by the pipes, and a client that leaves does not disturb the process.
// Loop-only. Owned by shim/service, one per started process, until its Delete.
#ifndef BERTH_SHIM_IO_PROCESS_IO_H_
#define BERTH_SHIM_IO_PROCESS_IO_H_

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/loop/loop.h"
#include "base/os/unique_fd.h"
#include "shim/io/attach_hub.h"
#include "shim/io/copier.h"
#include "shim/io/log_process.h"
#include "shim/io/logger.h"
#include "shim/io/output.h"

namespace berth::handover {
class Packer;
class Unpacker;
}  // namespace berth::handover
namespace berth::shim::v1 {
class StreamsState;
}  // namespace berth::shim::v1

namespace berth::io {

struct Request {
  // As the client wrote them; empty means /dev/null. With a terminal `err` is ignored: clients name
  // a FIFO there that they never make.
  std::string in;
  std::string out;
  std::string err;
  enum class Terminal { kNo, kYes } terminal = Terminal::kNo;
  std::string container_id = "";
  std::string namespace_name = "";
  // Owner of the pipes, so that a process without privileges can open /dev/stdout anew.
  uid_t pipe_uid = 0;
  gid_t pipe_gid = 0;
  absl::Duration open_timeout = absl::Seconds(30);
  // Gets copies, and gives input; may be null. Outlives the ProcessIo.
  AttachHub* hub = nullptr;
  // Makes the process that writes logs; without it there can be none.
  Fork fork = nullptr;
};

// The process's own ends; invalid ones mean /dev/null. All invalid with a terminal.
struct ChildEnds {
  UniqueFd in;
  UniqueFd out;
  UniqueFd err;
};

class ProcessIo {
 public:
  using Opened = absl::AnyInvocable<void(absl::Status)>;
  using Drained = absl::AnyInvocable<void()>;

  ProcessIo(Loop& loop, Request request);
  ~ProcessIo();
  ProcessIo(const ProcessIo&) = delete;
  ProcessIo& operator=(const ProcessIo&) = delete;

  // Opens everything and begins to copy; `opened` runs once, from the loop. Waits for a reader of
  // each output FIFO and for a logger to be ready. Errors: INVALID_ARGUMENT, NOT_FOUND,
  // DEADLINE_EXCEEDED, each with the stream and what it named. Destroying the object cancels.
  void Open(Opened opened);
  // After Open; once.
  ChildEnds TakeChildEnds() { return std::move(child_ends_); }

  // Takes the master of the process's terminal and begins to copy.
  absl::Status AttachConsole(UniqueFd master);
  // Errors: FAILED_PRECONDITION without a terminal.
  absl::Status Resize(uint16_t columns, uint16_t rows);
  // Ends the process's input once what clients have written is read and they have gone. Idempotent.
  void CloseInput();

  // For the program that this one becomes, and in it (in the place of Open): between Open (or
  // AttachConsole) and Drain. Errors of Save: UNAVAILABLE at any other time.
  absl::Status Save(handover::Packer& packer, berth::shim::v1::StreamsState& state) const;
  absl::Status Resume(const berth::shim::v1::StreamsState& state, handover::Unpacker& unpacker);

  // The process has ended: those who are attached get what is left and are let go. Its output may
  // still be held open by its children.
  void ProcessEnded();
  // Call after ProcessEnded: calls `drained` from the loop when its output has reached its target,
  // at the latest after `limit` (a logger gets its farewell on top).
  void Drain(absl::Duration limit, Drained drained);
  // Bytes that no target took.
  uint64_t discarded_bytes() const;
  // Null without a log of ours.
  const LogCounters* log_counters() const;

 private:
  class HubTap : public Tap {
   public:
    HubTap(AttachHub* hub, attach::FrameType type) : hub_(hub), type_(type) {}
    bool Wants() const override { return hub_ != nullptr && hub_->has_clients(); }
    bool HasRoom() const override { return hub_->HasRoom(); }
    void Take(absl::string_view bytes) override { hub_->Output(type_, bytes); }

   private:
    AttachHub* const hub_;
    const attach::FrameType type_;
  };
  struct Stream {
    const char* name = "";  // for messages
    HubTap tap;
    Target target = {};
    Output output = {};
    std::unique_ptr<Copier> copier = nullptr;
  };
  void Begin();
  absl::Status ParseTargets();
  absl::Status OpenInputNow();
  void OpenOutputs();
  absl::Status StartLogger();
  absl::Status StartLog();
  void OnLogReady(absl::Status status);
  absl::Status StartCopier(Stream& stream, UniqueFd source, UniqueFd sink);
  absl::Status ResumeStream(Stream& stream, const berth::shim::v1::StreamsState& state,
                            handover::Unpacker& unpacker);
  void SetUpCopier(Stream& stream);
  void EndHub();
  absl::Status MakeChildEnds();
  absl::StatusOr<UniqueFd> CopyFromPipe(Stream& stream);
  void OutputEnded(Stream& stream);
  void FinishOpen(absl::Status status);
  void DrainPartEnded();
  void OutputsDrained();
  bool OutputsEnded() const;

  Loop& loop_;
  const Request request_;
  Opened opened_;
  Drained drained_;
  bool outputs_awaited_ = false;  // between Drain and the end of the outputs
  bool process_ended_ = false;
  int drain_parts_ = 0;  // that still run
  absl::Time open_deadline_ = absl::InfiniteFuture();
  absl::Duration open_poll_ = absl::ZeroDuration();
  absl::Duration drain_limit_ = absl::ZeroDuration();
  TimerId timer_ = TimerId::kNone;
  TimerId hub_timer_ = TimerId::kNone;

  Target in_target_;
  Input input_;
  UniqueFd console_;  // the master, for Resize
  Stream out_, err_;
  std::unique_ptr<Copier> in_copier_;
  std::unique_ptr<Logger> logger_;
  std::unique_ptr<LogProcess> log_;
  ChildEnds child_ends_;
};

}  // namespace berth::io

#endif  // BERTH_SHIM_IO_PROCESS_IO_H_
