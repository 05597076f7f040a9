// Moves bytes from one descriptor to another on the loop, for as long as there are any.
//
// Invariant: never blocks and holds at most one buffer; while the sink is full the source is not
// read (or, with SinkFull::kDrop, what comes is thrown away and counted). Between two pipes the
// bytes stay in the kernel (splice), but while a Tap wants copies. With SinkFailure::kDiscard a
// sink that fails is given up and the source is emptied all the same, so that whoever writes to it
// neither blocks nor dies. Loop-only. Owned by a ProcessIo.
#ifndef BERTH_SHIM_IO_COPIER_H_
#define BERTH_SHIM_IO_COPIER_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/loop/loop.h"
#include "base/os/unique_fd.h"

namespace berth::handover {
class Packer;
class Unpacker;
}  // namespace berth::handover
namespace berth::shim::v1 {
class CopierState;
}  // namespace berth::shim::v1

namespace berth::io {

// Gets a copy of what passes.
class Tap {
 public:
  virtual ~Tap() = default;
  virtual bool Wants() const = 0;
  // False: nothing more is read until somebody calls Copier::Resume.
  virtual bool HasRoom() const = 0;
  virtual void Take(absl::string_view bytes) = 0;
};

class Copier {
 public:
  enum class SinkFailure { kEnd, kDiscard };
  enum class SinkFull { kWait, kDrop };
  // Runs once, from the loop: the source has ended, or the sink has failed with kEnd. Both
  // descriptors are closed by then. The copier may be destroyed inside.
  using OnEnd = absl::AnyInvocable<void()>;

  // Both are made non-blocking. An invalid `sink` discards. Errors: as fcntl(2), epoll_ctl(2).
  static absl::StatusOr<std::unique_ptr<Copier>> Start(Loop& loop, UniqueFd source, UniqueFd sink,
                                                       SinkFailure sink_failure, OnEnd on_end);

  // For the program that this one becomes, and in it: the bytes that wait go along.
  void Save(handover::Packer& packer, berth::shim::v1::CopierState& state) const;
  static absl::StatusOr<std::unique_ptr<Copier>> Resume(Loop& loop,
                                                        const berth::shim::v1::CopierState& state,
                                                        handover::Unpacker& unpacker,
                                                        SinkFailure sink_failure, OnEnd on_end);

  // Before any byte is read. `tap` outlives the copier.
  void set_tap(Tap* tap) { tap_ = tap; }
  void set_sink_full(SinkFull sink_full) { sink_full_ = sink_full; }
  // The tap has room again, or wants copies from now on.
  void Resume();

  bool ended() const { return ended_; }
  // Bytes that were read and did not reach the sink.
  uint64_t discarded_bytes() const { return discarded_bytes_; }

 private:
  enum class Step { kAgain, kWaitForSource, kWaitForSink, kWaitForTap, kEnd };

  Copier(UniqueFd source, UniqueFd sink, SinkFailure sink_failure, OnEnd on_end);
  void Run();
  Step Splice();
  Step ReadAndWrite();
  Step WritePending();
  Step SinkFailed();
  void WaitFor(Step step);
  void End();

  UniqueFd source_;
  UniqueFd sink_;
  const SinkFailure sink_failure_;
  OnEnd on_end_;
  Tap* tap_ = nullptr;
  SinkFull sink_full_ = SinkFull::kWait;
  FdWatch source_watch_;  // after the descriptors: the watches go first
  FdWatch sink_watch_;    // inactive for a regular file, which is never full
  bool splice_ = false;   // both are pipes
  bool ended_ = false;
  std::string pending_;  // was read, and the sink was full
  int full_reads_ = 0;   // in a row
  std::unique_ptr<char[]> flow_buffer_;
  uint64_t discarded_bytes_ = 0;
};

}  // namespace berth::io

#endif  // BERTH_SHIM_IO_COPIER_H_
