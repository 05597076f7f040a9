#include "server/image/archive_stream.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "proto/containerd/types/transfer/registry.pb.h"
#include "proto/containerd/types/transfer/streaming.pb.h"
#include "server/image/strand.h"

namespace berth::image {
namespace {

namespace types = containerd::types::transfer;

constexpr int32_t kWindowBytes = 4 << 20;
// A message of gRPC's takes up to 4 MiB by default; clients of containerd's use 32 KiB.
constexpr size_t kPieceBytes = 256 << 10;

class Receiver : public std::enable_shared_from_this<Receiver> {
 public:
  using Done = absl::AnyInvocable<void(absl::StatusOr<std::unique_ptr<SpoolFile>>)>;
  Receiver(std::shared_ptr<MessageStream> stream, std::unique_ptr<SpoolFile> spool,
           Executor& executor, Done done)
      : stream_(std::move(stream)),
        spool_(std::move(spool)),
        executor_(executor),
        done_(std::move(done)) {}

  void Start() {
    Grant(kWindowBytes);
    Next();
  }

 private:
  using Message = absl::StatusOr<std::optional<google::protobuf::Any>>;

  void Grant(int32_t bytes) {
    types::WindowUpdate update;
    update.set_update(bytes);
    stream_->Write(PackAny(update), [](bool) {});
  }
  void Next() {
    stream_->Read([self = shared_from_this()](Message message) {
      Executor& executor = self->executor_;
      executor.PostContinuation([self, message = std::move(message)] { self->Take(message); });
    });
  }
  void Take(const Message& message) {
    if (!message.ok()) return done_(message.status());
    if (!message->has_value()) return done_(std::move(spool_));
    const absl::StatusOr<types::Data> data = UnpackAny<types::Data>(**message);
    if (!data.ok()) return done_(data.status());
    const absl::Status written =
        spool_->Append(absl::string_view(data->data().data(), data->data().size()));
    if (!written.ok()) return done_(written);
    taken_ += static_cast<int32_t>(data->data().size());
    if (taken_ >= kWindowBytes / 2) Grant(std::exchange(taken_, 0));
    Next();
  }

  const std::shared_ptr<MessageStream> stream_;
  std::unique_ptr<SpoolFile> spool_;
  Executor& executor_;
  Done done_;
  int32_t taken_ = 0;  // since the last grant
};

class Sender : public std::enable_shared_from_this<Sender> {
 public:
  using Done = absl::AnyInvocable<void(absl::Status)>;
  Sender(std::shared_ptr<MessageStream> stream, std::unique_ptr<ArchiveSource> source,
         Executor& executor, Done done)
      : stream_(std::move(stream)),
        source_(std::move(source)),
        strand_(std::make_shared<Strand>(executor)),
        done_(std::move(done)) {}

  void Start() { ListenForWindow(); }

 private:
  using Message = absl::StatusOr<std::optional<google::protobuf::Any>>;

  void ListenForWindow() {
    stream_->Read([self = shared_from_this()](Message message) {
      self->strand_->Post([self, message = std::move(message)] { self->OnWindow(message); });
    });
  }
  void OnWindow(const Message& message) {
    if (done_ == nullptr) return;
    if (!message.ok()) return Finish(message.status());
    // A client that has half closed reads on with the window that it gave.
    if (!message->has_value()) return;
    const absl::StatusOr<types::WindowUpdate> update = UnpackAny<types::WindowUpdate>(**message);
    if (!update.ok()) return Finish(update.status());
    window_ += update->update();
    ListenForWindow();
    if (!is_sending_) SendNext();
  }
  void SendNext() {
    if (window_ <= 0 || done_ == nullptr) return;
    types::Data data;
    std::string& bytes = *data.mutable_data();
    bytes.resize(std::min<size_t>(kPieceBytes, static_cast<size_t>(window_)));
    const absl::StatusOr<size_t> got = source_->Read(bytes.data(), bytes.size());
    if (!got.ok() || *got == 0) return Finish(got.status());
    bytes.resize(*got);
    window_ -= static_cast<int64_t>(*got);
    is_sending_ = true;
    stream_->Write(PackAny(data), [self = shared_from_this()](bool sent) {
      self->strand_->Post([self, sent] {
        self->is_sending_ = false;
        if (!sent) return self->Finish(absl::CancelledError("the client went away"));
        self->SendNext();
      });
    });
  }
  void Finish(const absl::Status& status) {
    if (done_ == nullptr) return;
    stream_->Close(status);
    source_.reset();
    std::exchange(done_, nullptr)(status);
  }

  const std::shared_ptr<MessageStream> stream_;
  std::unique_ptr<ArchiveSource> source_;
  const std::shared_ptr<Strand> strand_;
  Done done_;
  int64_t window_ = 0;
  bool is_sending_ = false;
};

absl::StatusOr<RegistryAccess> AccessOf(const types::AuthResponse& response) {
  RegistryAccess access;
  switch (response.authtype()) {
    case types::NONE:
      return access;
    case types::CREDENTIALS:
      access.credentials.username = response.username();
      access.credentials.password = response.secret();
      return access;
    case types::REFRESH:
      access.credentials.identity_token = response.secret();
      return access;
    case types::HEADER: {
      // A bearer token is renewed like one that a registry gave; any other header is just sent.
      absl::string_view value(response.secret().data(), response.secret().size());
      if (absl::ConsumePrefix(&value, "Bearer ")) {
        access.credentials.access_token = std::string(value);
      } else {
        access.headers["Authorization"] = response.secret();
      }
      return access;
    }
    default:
      return absl::InvalidArgumentError(
          absl::StrCat("the client answered with credentials of an unknown kind (",
                       static_cast<int>(response.authtype()), ")"));
  }
}

}  // namespace

void ReceiveArchive(std::shared_ptr<MessageStream> stream, std::unique_ptr<SpoolFile> spool,
                    Executor& executor,
                    absl::AnyInvocable<void(absl::StatusOr<std::unique_ptr<SpoolFile>>)> done) {
  std::make_shared<Receiver>(std::move(stream), std::move(spool), executor, std::move(done))
      ->Start();
}

void SendArchive(std::shared_ptr<MessageStream> stream, std::unique_ptr<ArchiveSource> source,
                 Executor& executor, absl::AnyInvocable<void(absl::Status)> done) {
  std::make_shared<Sender>(std::move(stream), std::move(source), executor, std::move(done))
      ->Start();
}

void AskCredentials(std::shared_ptr<MessageStream> stream, const std::string& host,
                    const std::string& reference,
                    absl::AnyInvocable<void(absl::StatusOr<RegistryAccess>)> done) {
  types::AuthRequest request;
  request.set_host(host);
  request.set_reference(reference);
  stream->Write(PackAny(request), [](bool) {});
  stream->Read([stream, done = std::move(done)](
                   absl::StatusOr<std::optional<google::protobuf::Any>> message) mutable {
    if (!message.ok()) return done(message.status());
    if (!message->has_value()) {
      return done(absl::UnauthenticatedError(
          "the client ended its stream of credentials before it answered"));
    }
    const absl::StatusOr<types::AuthResponse> response = UnpackAny<types::AuthResponse>(**message);
    if (!response.ok()) return done(response.status());
    done(AccessOf(*response));
  });
}

}  // namespace berth::image
