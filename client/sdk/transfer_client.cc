#include "client/sdk/transfer_client.h"

#include <errno.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <thread>

#include "base/os/file_io.h"
#include "base/os/mutex.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"
#include "client/sdk/message_stream.h"
#include "client/sdk/stubs.h"
#include "proto/containerd/services/transfer/v1/transfer.grpc.pb.h"
#include "proto/containerd/types/transfer/imagestore.pb.h"
#include "proto/containerd/types/transfer/importexport.pb.h"
#include "proto/containerd/types/transfer/registry.pb.h"
#include "proto/containerd/types/transfer/streaming.pb.h"

namespace berth::client {
namespace {

namespace api = containerd::services::transfer::v1;
namespace types = containerd::types::transfer;
using google::protobuf::Any;

constexpr size_t kPieceBytes = 256 << 10;
constexpr int32_t kWindowBytes = 4 << 20;

void SetPlatform(const Platform& platform, containerd::types::Platform& to) {
  to.set_os(platform.os);
  to.set_architecture(platform.architecture);
  to.set_variant(platform.variant);
}

template <typename Message>
void AddPlatforms(const PlatformChoice& choice, Message& message) {
  if (choice.extent == PlatformChoice::Extent::kAll) return;
  for (const Platform& platform : choice.platforms) {
    SetPlatform(platform, *message.add_platforms());
  }
}

// A stream with a thread that reads it, both ended by the destruction.
class ReadStream {
 public:
  using OnMessage = std::function<void(MessageStream&, const Any&)>;
  enum class End { kCancel, kDrain };

  static absl::StatusOr<std::unique_ptr<ReadStream>> Open(const Connection& connection,
                                                          absl::string_view purpose, End end,
                                                          OnMessage on_message) {
    BERTH_ASSIGN_OR_RETURN(std::unique_ptr<MessageStream> stream,
                           MessageStream::Open(connection, purpose));
    return std::unique_ptr<ReadStream>(
        new ReadStream(std::move(stream), end, std::move(on_message)));
  }
  ~ReadStream() {
    if (end_ == End::kCancel) stream_->Cancel();
    thread_.join();
  }
  MessageStream& stream() { return *stream_; }

 private:
  ReadStream(std::unique_ptr<MessageStream> stream, End end, OnMessage on_message)
      : stream_(std::move(stream)), end_(end), thread_([this, on_message = std::move(on_message)] {
          Any message;
          while (stream_->Read(message)) on_message(*stream_, message);
        }) {}
  const std::unique_ptr<MessageStream> stream_;
  const End end_;
  std::thread thread_;
};

class Transfer {
 public:
  Transfer(const Connection& connection, const OnTransferStep& on_step)
      : connection_(connection), on_step_(on_step) {}

  absl::Status Ask(const OnCredentials& credentials, types::RegistryResolver& resolver) {
    if (!credentials) return absl::OkStatus();
    BERTH_ASSIGN_OR_RETURN(
        auth_, ReadStream::Open(connection_, "auth", ReadStream::End::kCancel,
                                [credentials](MessageStream& stream, const Any& message) {
                                  types::AuthRequest request;
                                  if (!UnpackAny(message, request)) return;
                                  stream.Write(PackAny(Answer(credentials(request.host()))));
                                }));
    resolver.set_auth_stream(auth_->stream().id());
    return absl::OkStatus();
  }

  template <typename Source, typename Destination>
  absl::Status Run(const Source& source, const Destination& destination) {
    api::TransferRequest request;
    *request.mutable_source() = PackAny(source);
    *request.mutable_destination() = PackAny(destination);
    if (on_step_) {
      BERTH_ASSIGN_OR_RETURN(progress_,
                             ReadStream::Open(connection_, "progress", ReadStream::End::kDrain,
                                              [this](MessageStream&, const Any& message) {
                                                TransferStep step;
                                                if (UnpackAny(message, step)) on_step_(step);
                                              }));
      request.mutable_options()->set_progress_stream(progress_->stream().id());
    }
    grpc::ClientContext context;
    connection_.Prepare(context, absl::InfiniteDuration());
    google::protobuf::Empty response;
    const grpc::Status status =
        connection_.stubs().transfer->Transfer(&context, request, &response);
    // A server that refused the call does not know the stream.
    if (!status.ok() && progress_ != nullptr) progress_->stream().Cancel();
    progress_.reset();
    auth_.reset();
    return connection_.ToStatus(status);
  }

 private:
  static types::AuthResponse Answer(const RegistryLogin& login) {
    types::AuthResponse response;
    if (login.is_empty()) return response;
    response.set_username(login.username);
    if (!login.identity_token.empty()) {
      response.set_authtype(types::REFRESH);
      response.set_secret(login.identity_token);
    } else {
      response.set_authtype(types::CREDENTIALS);
      response.set_secret(login.password);
    }
    return response;
  }

  const Connection& connection_;
  const OnTransferStep& on_step_;
  std::unique_ptr<ReadStream> auth_;
  std::unique_ptr<ReadStream> progress_;
};

// Sends `fd` over `stream`, as the server's windows allow.
class ArchiveSender {
 public:
  static absl::Status Send(BorrowedFd fd, MessageStream& stream) {
    const std::unique_ptr<char[]> buffer(new char[kPieceBytes]);
    int64_t window = 0;
    for (;;) {
      while (window <= 0) {
        Any message;
        types::WindowUpdate update;
        // The server ends the stream when it has failed; the call says why.
        if (!stream.Read(message)) return absl::OkStatus();
        if (UnpackAny(message, update)) window += update.update();
      }
      const size_t want = std::min<int64_t>(kPieceBytes, window);
      const ssize_t got = ::read(fd.get(), buffer.get(), want);
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return ErrnoStatus(errno, "read", "the archive");
      if (got == 0) break;
      types::Data data;
      data.set_data(buffer.get(), static_cast<size_t>(got));
      if (!stream.Write(PackAny(data))) return absl::OkStatus();
      window -= got;
    }
    stream.EndWrites();
    return absl::OkStatus();
  }
};

// Writes what comes over `stream` to `fd`.
absl::Status ReceiveArchive(MessageStream& stream, BorrowedFd fd) {
  types::WindowUpdate update;
  update.set_update(kWindowBytes);
  // A write fails as well when the server has sent all and ended the stream: what it sent is still
  // to be read, and the end of that is the end.
  stream.Write(PackAny(update));
  Any message;
  int32_t taken = 0;
  while (stream.Read(message)) {
    types::Data data;
    if (!UnpackAny(message, data)) continue;
    BERTH_RETURN_IF_ERROR(WriteAll(fd, absl::string_view(data.data().data(), data.data().size())));
    taken += static_cast<int32_t>(data.data().size());
    if (taken < kWindowBytes / 2) continue;
    update.set_update(taken);
    taken = 0;
    stream.Write(PackAny(update));
  }
  return absl::OkStatus();
}

void SetReach(const RegistryReach& reach, types::RegistryResolver& resolver) {
  resolver.set_default_scheme(reach.scheme);
  resolver.set_host_dir(reach.hosts_directory);
}

}  // namespace

absl::Status TransferClient::Pull(const PullOptions& options) const {
  Transfer transfer(connection_, options.on_step);
  types::OCIRegistry registry;
  registry.set_reference(options.reference);
  SetReach(options.reach, *registry.mutable_resolver());
  BERTH_RETURN_IF_ERROR(transfer.Ask(options.credentials, *registry.mutable_resolver()));
  types::ImageStore store;
  store.set_name(options.reference);
  PlatformChoice choice = options.choice;
  if (choice.platforms.empty()) choice.platforms.push_back(HostPlatform());
  AddPlatforms(choice, store);
  if (!options.snapshotter.empty()) {
    types::UnpackConfiguration& unpack = *store.add_unpacks();
    unpack.set_snapshotter(options.snapshotter);
    // Of several platforms the first is unpacked.
    SetPlatform(choice.platforms[0], *unpack.mutable_platform());
  }
  return transfer.Run(registry, store);
}

absl::Status TransferClient::Push(const PushOptions& options) const {
  Transfer transfer(connection_, options.on_step);
  types::ImageStore store;
  store.set_name(options.name);
  AddPlatforms(options.choice, store);
  types::OCIRegistry registry;
  registry.set_reference(options.reference);
  SetReach(options.reach, *registry.mutable_resolver());
  BERTH_RETURN_IF_ERROR(transfer.Ask(options.credentials, *registry.mutable_resolver()));
  return transfer.Run(store, registry);
}

absl::Status TransferClient::Load(BorrowedFd fd, const LoadOptions& options) const {
  BERTH_ASSIGN_OR_RETURN(const std::unique_ptr<MessageStream> stream,
                         MessageStream::Open(connection_, "load"));
  types::ImageImportStream source;
  source.set_stream(stream->id());
  types::ImageStore store;
  AddPlatforms(options.choice, store);
  if (!options.snapshotter.empty()) store.add_unpacks()->set_snapshotter(options.snapshotter);
  if (!options.default_repository.empty()) {
    types::ImageReference& prefix = *store.add_extra_references();
    prefix.set_name(options.default_repository);
    prefix.set_is_prefix(true);
    prefix.set_allow_overwrite(true);
    prefix.set_add_digest(true);
    prefix.set_skip_named_digest(true);
  }
  absl::Status sent;
  std::thread sender([&] {
    sent = ArchiveSender::Send(fd, *stream);
    // The server would take what came for the whole archive.
    if (!sent.ok()) stream->Cancel();
  });
  const absl::Status status = Transfer(connection_, options.on_step).Run(source, store);
  stream->Cancel();
  sender.join();
  BERTH_RETURN_IF_ERROR(sent);
  return status;
}

absl::Status TransferClient::Save(BorrowedFd fd, const SaveOptions& options) const {
  BERTH_ASSIGN_OR_RETURN(const std::unique_ptr<MessageStream> stream,
                         MessageStream::Open(connection_, "save"));
  types::ImageStore source;
  for (const std::string& name : options.names) source.add_extra_references()->set_name(name);
  types::ImageExportStream target;
  target.set_stream(stream->id());
  AddPlatforms(options.choice, target);
  target.set_all_platforms(options.choice.extent == PlatformChoice::Extent::kAll);
  absl::Status received;
  std::thread receiver([&] {
    received = ReceiveArchive(*stream, fd);
    if (!received.ok()) stream->Cancel();
  });
  const OnTransferStep no_steps;
  const absl::Status status = Transfer(connection_, no_steps).Run(source, target);
  if (!status.ok()) stream->Cancel();
  receiver.join();
  BERTH_RETURN_IF_ERROR(received);
  return status;
}

}  // namespace berth::client
