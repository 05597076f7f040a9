#include "server/api/attach_reactor.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <deque>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/attach/attach.h"
#include "base/grpc/call_info.h"
#include "base/grpc/status_conversion.h"
#include "base/loop/loop.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"
#include "server/task/task_manager.h"

namespace berth {
namespace {

namespace v1 = engine::v1;

constexpr size_t kReadBytes = 64 << 10;

// Everything but the gRPC callbacks runs on the tasks' loop, so there are no locks. `alive_` keeps
// it while callbacks of others are out; gRPC's own end is OnDone.
class AttachReactor final : public grpc::ServerBidiReactor<v1::AttachRequest, v1::AttachResponse>,
                            public std::enable_shared_from_this<AttachReactor> {
 public:
  AttachReactor(CallInfo call, engine::Engine& engine, Executor& executor)
      : call_(std::move(call)), engine_(engine), executor_(executor), loop_(engine.parts().loop) {}

  void Begin() {
    self_ = shared_from_this();
    StartRead(&request_);
  }

 private:
  template <typename Function>
  void OnLoop(Function function) {
    loop_.Post(
        [self = shared_from_this(), function = std::move(function)]() mutable { function(*self); });
  }

  void OnReadDone(bool ok) override {
    OnLoop([ok](AttachReactor& self) { self.Handle(ok); });
  }
  void OnWriteDone(bool ok) override {
    OnLoop([ok](AttachReactor& self) {
      self.is_writing_ = false;
      if (!ok) return self.End(absl::CancelledError("the client went away"));
      self.queue_.pop_front();
      self.WriteNext();
    });
  }
  void OnCancel() override {
    call_.cancellation->Cancel();
    OnLoop([](AttachReactor& self) { self.End(absl::CancelledError("the client went away")); });
  }
  // The last reference may go on the loop only: it holds a watch.
  void OnDone() override {
    loop_.Post([self = std::move(self_)] {});
  }

  void Handle(bool ok) {
    if (is_over_) return;
    if (!ok) {
      // The client has no more input; output goes on.
      if (!is_open_) return End(absl::InvalidArgumentError("the first message must open"));
      // Or our server ends all calls, and this client has more to say to the next one.
      if (is_numbered() && engine_.is_leaving()) return;
      return CloseInput();
    }
    if (!is_open_) return Open();
    switch (request_.content_case()) {
      case v1::AttachRequest::kStdin:
        if (request_.stdin().empty()) break;
        input_ += is_numbered() ? attach::EncodeInput(request_.stdin()) : request_.stdin();
        return WriteInput();
      case v1::AttachRequest::kCloseStdin:
        CloseInput();
        break;
      case v1::AttachRequest::kResize:
        Resize(request_.resize());
        break;
      default:
        break;
    }
    StartRead(&request_);
  }

  void Open() {
    if (!request_.has_open()) {
      return End(absl::InvalidArgumentError("the first message must say what to attach to"));
    }
    if (request_.open().input_session().size() > attach::kMaxSessionBytes) {
      return End(absl::InvalidArgumentError(absl::StrCat(
          "the name of an input session has at most ", attach::kMaxSessionBytes, " bytes")));
    }
    is_open_ = true;
    open_ = request_.open();
    const bool posted = executor_.Post([self = shared_from_this()] { self->Find(); });
    if (!posted) End(absl::ResourceExhaustedError("too many calls are waiting; try again"));
  }

  // On the executor.
  void Find() {
    absl::Status status = call_.RequireNamespace();
    if (status.ok() && !open_.exec_id().empty()) {
      auto key = engine_.execs().ContainerOf(call_.ns, open_.exec_id());
      is_recalled_ = absl::IsNotFound(key.status()) && open_.resumes();
      if (is_recalled_) key = KeyOfContainer();
      status = key.status();
      if (key.ok()) key_ = *std::move(key);
    } else if (status.ok()) {
      auto key = KeyOfContainer();
      status = key.status();
      if (key.ok()) key_ = *std::move(key);
    }
    bool runs = !open_.exec_id().empty();
    if (status.ok() && !runs) {
      const auto container = engine_.records().Load(key_);
      status = container.status();
      if (container.ok()) {
        runs = container->state().pid() != 0;
        if (container->state().status() == v1::STATUS_PAUSED) {
          status = absl::FailedPreconditionError(
              "cannot attach to a paused container, unpause it first");
        } else if (container->state().status() == v1::STATUS_RESTARTING) {
          status = absl::FailedPreconditionError(
              "cannot attach to a restarting container, wait until it is running");
        } else if (!runs && open_.resumes()) {
          status =
              absl::FailedPreconditionError(absl::StrCat("container ", key_.id, " is not running"));
        }
      }
    }
    if (!status.ok()) {
      return OnLoop([status](AttachReactor& self) { self.End(status); });
    }
    // One that an earlier daemon made may be unknown to the shim as well.
    if (!is_recalled_) AwaitEnd();
    if (runs) return Connect({});
    auto self = shared_from_this();
    const uint64_t number = engine_.attachments().Add(
        key_, [self](absl::AnyInvocable<void()> ready) { self->Connect(std::move(ready)); });
    OnLoop([number](AttachReactor& self) {
      if (self.is_over_) return self.engine_.attachments().Cancel(self.key_, number);
      self.pending_ = number;
      self.is_accepted_ = true;
      v1::AttachResponse response;
      response.mutable_attached();
      self.Send(std::move(response));
      self.StartReading();
    });
  }

  absl::StatusOr<engine::ContainerKey> KeyOfContainer() {
    BERTH_ASSIGN_OR_RETURN(std::string id, engine_.table().Resolve(call_.ns, open_.container()));
    return engine::ContainerKey{call_.ns, std::move(id)};
  }

  void AwaitEnd() {
    std::weak_ptr<AttachReactor> weak = weak_from_this();
    const auto told = [weak](int exit_code) {
      if (auto self = weak.lock()) {
        self->OnLoop([exit_code](AttachReactor& self) {
          self.exit_code_ = exit_code;
          self.has_exited_ = true;
          self.EndIfDone();
        });
      }
    };
    if (!open_.exec_id().empty()) return engine_.execs().WaitEnd(open_.exec_id(), told);
    const auto ticket = engine_.lifecycle().Wait(
        key_, v1::WaitContainerRequest::CONDITION_NEXT_EXIT,
        [told, weak](const absl::StatusOr<engine::ContainerEnd>& end) {
          if (end.ok()) return told(end->exit_code);
          if (auto self = weak.lock()) {
            self->OnLoop([status = end.status()](AttachReactor& self) { self.End(status); });
          }
        });
    if (ticket.ok()) {
      OnLoop([ticket = *ticket](AttachReactor& self) { self.ticket_ = ticket; });
    }
  }

  // From any thread.
  void Connect(absl::AnyInvocable<void()> ready) {
    attach::Hello hello;
    hello.exec_id = open_.exec_id();
    hello.input = open_.stdin();
    if (hello.input) hello.session = open_.input_session();
    // Without a word about streams both are meant.
    const bool both = open_.stdout() == open_.stderr();
    hello.output = both || open_.stdout();
    hello.error_output = both || open_.stderr();
    // Who was here before the start wants all of it; a guest must not hold the process up.
    hello.lossless = static_cast<bool>(ready) || !open_.exec_id().empty();
    engine_.parts().tasks.life().Attach({key_.ns, key_.id}, std::move(hello),
                                        [self = shared_from_this(), ready = std::move(ready)](
                                            absl::StatusOr<UniqueFd> socket) mutable {
                                          // On the loop.
                                          if (!socket.ok()) {
                                            self->End(socket.status());
                                          } else {
                                            self->OnConnected(*std::move(socket), std::move(ready));
                                            return;
                                          }
                                          if (ready) ready();
                                        });
  }

  void OnConnected(UniqueFd socket, absl::AnyInvocable<void()> ready) {
    if (is_over_) {
      if (ready) ready();
      return;
    }
    ready_ = std::move(ready);
    socket_ = std::move(socket);
    auto watch = loop_.Watch(socket_, EPOLLIN, [this](uint32_t) { OnSocket(); });
    if (!watch.ok()) return End(watch.status());
    watch_ = *std::move(watch);
    if (!input_.empty() || wants_close_) WriteInput();
  }

  void OnSocket() {
    const auto keep = shared_from_this();
    ReadOutput();
    if (!is_over_ && !input_.empty()) WriteInput();
  }

  void ReadOutput() {
    if (!socket_.valid() || !queue_.empty()) return;
    std::string buffer(kReadBytes, '\0');
    const ssize_t size = ::recv(socket_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (size <= 0) return OnOutputEnd();
    frames_.Add(absl::string_view(buffer.data(), static_cast<size_t>(size)));
    while (!is_over_) {
      auto frame = frames_.Next();
      if (!frame.ok()) return End(frame.status());
      if (!frame->has_value()) break;
      OnFrame(**frame);
    }
    UpdateWatch();
  }

  void OnFrame(const attach::FrameReader::Frame& frame) {
    v1::AttachResponse response;
    switch (frame.type) {
      case attach::FrameType::kAccepted:
        if (ready_) std::exchange(ready_, nullptr)();
        if (std::exchange(is_accepted_, true)) return;
        if (is_recalled_) {
          engine_.execs().Recall(key_, open_.exec_id());
          AwaitEnd();
        }
        response.mutable_attached();
        Send(std::move(response));
        return StartReading();
      case attach::FrameType::kOutput:
      case attach::FrameType::kErrorOutput:
        response.mutable_output()->set_stream(
            frame.type == attach::FrameType::kOutput ? v1::STREAM_STDOUT : v1::STREAM_STDERR);
        response.mutable_output()->set_data(frame.payload);
        return Send(std::move(response));
      case attach::FrameType::kDropped: {
        const auto bytes = attach::DecodeCount(frame.payload);
        response.set_dropped_bytes(bytes.ok() ? *bytes : 0);
        return Send(std::move(response));
      }
      case attach::FrameType::kTaken: {
        const auto bytes = attach::DecodeCount(frame.payload);
        if (!bytes.ok()) return End(bytes.status());
        response.set_input_taken(*bytes);
        return Send(std::move(response));
      }
      case attach::FrameType::kRefused:
        return End(absl::FailedPreconditionError(frame.payload));
      case attach::FrameType::kEnded:
        return OnOutputEnd();
    }
  }

  void OnOutputEnd() {
    watch_.Reset();
    socket_.Reset();
    output_ended_ = true;
    if (ready_) std::exchange(ready_, nullptr)();
    EndIfDone();
  }

  void EndIfDone() {
    if (is_over_ || !has_exited_) return;
    // A process that never came to run has no output to wait for.
    if (!output_ended_ && socket_.valid()) return;
    if (exited_sent_) return;
    exited_sent_ = true;
    if (!std::exchange(is_accepted_, true)) {
      v1::AttachResponse attached;  // always the first
      attached.mutable_attached();
      Send(std::move(attached));
    }
    v1::AttachResponse response;
    response.mutable_exited()->set_exit_code(exit_code_);
    Send(std::move(response));
  }

  void Send(v1::AttachResponse response) {
    if (is_over_) return;
    queue_.push_back(std::move(response));
    WriteNext();
  }
  void WriteNext() {
    if (is_writing_ || is_over_) return;
    if (!queue_.empty()) {
      is_writing_ = true;
      StartWrite(&queue_.front());
      return;
    }
    if (exited_sent_) return End(absl::OkStatus());
    if (watch_.active()) {
      UpdateWatch();
      ReadOutput();
    }
  }
  void StartReading() { StartRead(&request_); }

  void UpdateWatch() {
    if (!watch_.active()) return;
    uint32_t events = 0;
    if (queue_.empty()) events |= EPOLLIN;
    if (!input_.empty()) events |= EPOLLOUT;
    if (const absl::Status set = watch_.SetEvents(events); !set.ok()) End(set);
  }

  // Writes what there is, then lets the client send more.
  void WriteInput() {
    while (socket_.valid() && !input_.empty()) {
      const ssize_t size =
          ::send(socket_.get(), input_.data(), input_.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
      if (size < 0 && errno == EINTR) continue;
      if (size < 0 && errno == EAGAIN) return UpdateWatch();
      if (size < 0) {
        input_.clear();  // nobody reads it; output tells what became of the process
        break;
      }
      input_.erase(0, static_cast<size_t>(size));
    }
    if (!socket_.valid() && !output_ended_) return;  // it waits for the start
    UpdateWatch();
    if (wants_close_) {
      if (socket_.valid() && !is_numbered()) ::shutdown(socket_.get(), SHUT_WR);
      return;
    }
    if (is_open_ && request_.content_case() == v1::AttachRequest::kStdin) StartRead(&request_);
  }
  void CloseInput() {
    if (std::exchange(wants_close_, true)) return;
    if (is_numbered()) {
      input_ += attach::EncodeInput("");
      if (socket_.valid()) WriteInput();
    } else if (socket_.valid() && input_.empty()) {
      ::shutdown(socket_.get(), SHUT_WR);
    }
  }
  bool is_numbered() const { return open_.stdin() && !open_.input_session().empty(); }
  // The client went away, and we are here to say so; else the shim would wait for it to come back.
  void EndSession() {
    if (!is_numbered() || !socket_.valid() || engine_.is_leaving()) return;
    if (!wants_close_) input_ += attach::EncodeInput("");
    // One that reads nothing has this told to it by the shim's patience.
    (void)::send(socket_.get(), input_.data(), input_.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  }

  void Resize(const v1::AttachRequest::Resize& size) {
    containerd::services::tasks::v1::ResizePtyRequest request;
    request.set_container_id(key_.id);
    request.set_exec_id(open_.exec_id());
    request.set_width(size.columns());
    request.set_height(size.rows());
    // A process that is not there yet, or any more, has no size.
    engine_.parts().tasks.ResizePty({.ns = key_.ns}, request, [](const auto&) {});
  }

  void End(const absl::Status& status) {
    if (std::exchange(is_over_, true)) return;
    EndSession();
    watch_.Reset();
    socket_.Reset();
    if (ready_) std::exchange(ready_, nullptr)();
    if (pending_ != 0) engine_.attachments().Cancel(key_, pending_);
    if (ticket_ != 0) engine_.lifecycle().CancelWait(key_, ticket_);
    Finish(ToGrpc(status));
  }

  const CallInfo call_;
  engine::Engine& engine_;
  Executor& executor_;
  Loop& loop_;
  std::shared_ptr<AttachReactor> self_;
  v1::AttachRequest request_;
  v1::AttachRequest::Open open_;
  engine::ContainerKey key_;
  UniqueFd socket_;
  FdWatch watch_;
  attach::FrameReader frames_;
  std::deque<v1::AttachResponse> queue_;  // its front is being written
  std::string input_;
  absl::AnyInvocable<void()> ready_;
  uint64_t pending_ = 0;
  uint64_t ticket_ = 0;
  int exit_code_ = 0;
  bool is_open_ = false;
  bool is_accepted_ = false;
  bool is_recalled_ = false;  // an exec that this daemon did not make
  bool is_writing_ = false;
  bool is_over_ = false;
  bool wants_close_ = false;
  bool has_exited_ = false;
  bool output_ended_ = false;
  bool exited_sent_ = false;
};

}  // namespace

grpc::ServerBidiReactor<v1::AttachRequest, v1::AttachResponse>* ServeAttach(
    grpc::CallbackServerContext* context, engine::Engine& engine, Executor& executor) {
  auto reactor = std::make_shared<AttachReactor>(ReadCallInfo(*context), engine, executor);
  reactor->Begin();
  return reactor.get();
}

}  // namespace berth
