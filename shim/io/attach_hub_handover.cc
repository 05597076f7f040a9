// The clients of a hub on their way to the program that takes over: their connections stay, with
// what each has not taken yet.
#include <algorithm>
#include <utility>

#include "base/status/status_macros.h"
#include "proto/berth/shim/v1/handover.pb.h"
#include "shim/handover/packer.h"
#include "shim/handover/unpacker.h"
#include "shim/io/attach_hub.h"

namespace berth::io {
namespace {

namespace v1 = berth::shim::v1;
constexpr char kWhat[] = "an attached client";

}  // namespace

void AttachHub::Save(handover::Packer& packer, v1::AttachState& state) const {
  for (const Session& session : sessions_) {
    auto& saved = *state.add_sessions();
    saved.set_id(session.id);
    saved.set_taken(session.taken);
    saved.set_ended(session.ended);
    saved.set_left(packer.Count(session.timer));
  }
  for (const Client& client : clients_) {
    auto& saved = *state.add_clients();
    saved.set_socket(packer.Pack(client.socket));
    saved.set_input(client.hello.input);
    saved.set_output(client.hello.output);
    saved.set_error_output(client.hello.error_output);
    saved.set_lossless(client.hello.lossless);
    saved.set_session(client.session == nullptr ? "" : client.session->id);
    saved.set_early(client.early);
    saved.set_pending(client.pending);
    saved.set_dropped(client.dropped);
    const attach::InputReader::State reader = client.reader.Save();
    saved.set_piece_header(reader.header);
    saved.set_piece_left(reader.left);
    saved.set_pieces_ended(reader.has_ended);
    saved.set_input_ended(client.input_ended);
    packer.Count(client.watch);
  }
  state.set_dropped_bytes(dropped_bytes_);
  state.set_sink(packer.Pack(sink_));
  packer.Count(sink_watch_);
  state.set_input_pending(input_pending_);
  state.set_input_closed(input_closed_);
  state.set_ended(ended_);
  state.set_end_left(packer.Count(timer_));
}

absl::Status AttachHub::Resume(const v1::AttachState& state, handover::Unpacker& unpacker) {
  for (const v1::AttachSession& saved : state.sessions()) {
    Session& session = sessions_.emplace_back(
        Session{.id = saved.id(), .taken = saved.taken(), .ended = saved.ended()});
    if (saved.left() < 0) continue;
    session.timer = loop_.After(absl::Nanoseconds(saved.left()), [this, raw = &session] {
      raw->timer = TimerId::kNone;
      raw->ended = true;
      if (input_ == Input::kFirstClient) CloseInput();
    });
  }
  dropped_bytes_ = state.dropped_bytes();
  input_closed_ = state.input_closed();
  input_pending_ = state.input_pending();
  ended_ = state.ended();
  BERTH_ASSIGN_OR_RETURN(
      sink_, unpacker.TakeIfAny(state.sink(), handover::Kind::kAny, "the input of a process"));
  if (sink_.valid()) {
    const uint32_t events = input_pending_.empty() ? 0u : uint32_t{EPOLLOUT};
    BERTH_ASSIGN_OR_RETURN(sink_watch_,
                           loop_.Watch(sink_, events, [this](uint32_t) { OnInputRoom(); }));
  }
  for (int i = 0; i < state.clients_size(); ++i) {
    BERTH_RETURN_IF_ERROR(ResumeClient(state, i, unpacker));
  }
  if (state.end_left() >= 0) {
    timer_ = loop_.After(absl::Nanoseconds(state.end_left()), [this] {
      clients_.clear();
      CheckEnded();
    });
  }
  return absl::OkStatus();
}

absl::Status AttachHub::ResumeClient(const v1::AttachState& state, int index,
                                     handover::Unpacker& unpacker) {
  const v1::AttachClient& saved = state.clients(index);
  const Place client = clients_.emplace(clients_.end());
  BERTH_ASSIGN_OR_RETURN(client->socket,
                         unpacker.Take(saved.socket(), handover::Kind::kSocket, kWhat));
  client->hello.input = saved.input();
  client->hello.output = saved.output();
  client->hello.error_output = saved.error_output();
  client->hello.lossless = saved.lossless();
  client->hello.session = saved.session();
  client->early = saved.early();
  client->pending = saved.pending();
  client->dropped = saved.dropped();
  client->reader.Resume({.header = saved.piece_header(),
                         .left = saved.piece_left(),
                         .has_ended = saved.pieces_ended()});
  client->input_ended = saved.input_ended();
  if (!saved.session().empty()) {
    const auto session = std::find_if(sessions_.begin(), sessions_.end(), [&](const Session& one) {
      return one.id == saved.session();
    });
    if (session == sessions_.end()) {
      return absl::FailedPreconditionError("an attached client has no session");
    }
    client->session = &*session;
  }
  client->behind = client->hello.lossless && client->pending.size() > kBehindBytes;
  behind_ += client->behind ? 1 : 0;
  BERTH_ASSIGN_OR_RETURN(
      client->watch,
      loop_.Watch(client->socket, 0, [this, client](uint32_t events) { OnEvent(client, events); }));
  UpdateEvents(*client);
  return absl::OkStatus();
}

}  // namespace berth::io
