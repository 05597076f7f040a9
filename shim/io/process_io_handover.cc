// The streams of a process on their way to the program that takes over: every descriptor, and the
// bytes that were read and not written.
#include <utility>

#include "base/status/status_macros.h"
#include "proto/berth/shim/v1/handover.pb.h"
#include "shim/handover/packer.h"
#include "shim/handover/unpacker.h"
#include "shim/io/process_io.h"

namespace berth::io {
namespace {

namespace v1 = berth::shim::v1;
using handover::Kind;

}  // namespace

absl::Status ProcessIo::Save(handover::Packer& packer, v1::StreamsState& state) const {
  if (opened_ || drained_ || outputs_awaited_ || drain_parts_ > 0) {
    return absl::UnavailableError("the streams of a process are being opened or drained");
  }
  if (in_copier_ != nullptr) in_copier_->Save(packer, *state.mutable_in());
  if (out_.copier != nullptr) out_.copier->Save(packer, *state.mutable_out());
  if (err_.copier != nullptr) err_.copier->Save(packer, *state.mutable_err());
  state.set_in_keep(packer.Pack(input_.keep));
  state.set_out_keep(packer.Pack(out_.output.keep));
  state.set_err_keep(packer.Pack(err_.output.keep));
  state.set_console(packer.Pack(console_));
  if (log_ != nullptr) log_->Save(packer, *state.mutable_log());
  if (logger_ != nullptr) logger_->Save(packer, *state.mutable_logger());
  state.set_process_ended(process_ended_);
  state.set_hub_left(packer.Count(hub_timer_));
  return absl::OkStatus();
}

absl::Status ProcessIo::ResumeStream(Stream& stream, const v1::StreamsState& state,
                                     handover::Unpacker& unpacker) {
  const bool is_out = &stream == &out_;
  BERTH_ASSIGN_OR_RETURN(stream.output.keep,
                         unpacker.TakeIfAny(is_out ? state.out_keep() : state.err_keep(),
                                            Kind::kPipe, "the other end of an output FIFO"));
  if (is_out ? !state.has_out() : !state.has_err()) return absl::OkStatus();
  BERTH_ASSIGN_OR_RETURN(stream.copier, Copier::Resume(loop_, is_out ? state.out() : state.err(),
                                                       unpacker, Copier::SinkFailure::kDiscard,
                                                       [this, &stream] { OutputEnded(stream); }));
  SetUpCopier(stream);
  return absl::OkStatus();
}

absl::Status ProcessIo::Resume(const v1::StreamsState& state, handover::Unpacker& unpacker) {
  BERTH_RETURN_IF_ERROR(ParseTargets());
  BERTH_ASSIGN_OR_RETURN(input_.keep, unpacker.TakeIfAny(state.in_keep(), Kind::kPipe,
                                                         "the other end of an input FIFO"));
  BERTH_ASSIGN_OR_RETURN(console_, unpacker.TakeIfAny(state.console(), Kind::kAny, "a terminal"));
  if (state.has_in()) {
    BERTH_ASSIGN_OR_RETURN(in_copier_,
                           Copier::Resume(loop_, state.in(), unpacker, Copier::SinkFailure::kEnd,
                                          [this] { input_.keep.Reset(); }));
  }
  for (Stream* stream : {&out_, &err_}) {
    BERTH_RETURN_IF_ERROR(ResumeStream(*stream, state, unpacker));
  }
  if (state.has_log()) {
    BERTH_ASSIGN_OR_RETURN(log_, LogProcess::Resume(loop_, state.log(), unpacker));
  }
  if (state.has_logger()) {
    BERTH_ASSIGN_OR_RETURN(logger_, Logger::Resume(loop_, state.logger(), unpacker));
  }
  process_ended_ = state.process_ended();
  if (state.hub_left() >= 0) {
    hub_timer_ = loop_.After(absl::Nanoseconds(state.hub_left()), [this] { EndHub(); });
  }
  return absl::OkStatus();
}

}  // namespace berth::io
