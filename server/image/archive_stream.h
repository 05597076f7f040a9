// Archives, and questions for credentials, over streams of messages: the windows of
// containerd.types.transfer.
//
// The reader grants a window of bytes, the writer sends no more than that: neither side holds more
// than a window in memory. No thread waits for the other side. Thread-safe functions; `done` runs
// on the executor or the stream's threads and must not block.
#ifndef BERTH_SERVER_IMAGE_ARCHIVE_STREAM_H_
#define BERTH_SERVER_IMAGE_ARCHIVE_STREAM_H_

#include <memory>
#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/grpc/executor.h"
#include "server/image/image_exporter.h"
#include "server/image/image_puller.h"
#include "server/image/message_stream.h"
#include "server/image/spool_file.h"

namespace berth::image {

// Appends what the client sends to `spool`, to the end of its stream. Errors (to `done`):
// CANCELLED, INVALID_ARGUMENT for another message, those of writing.
void ReceiveArchive(std::shared_ptr<MessageStream> stream, std::unique_ptr<SpoolFile> spool,
                    Executor& executor,
                    absl::AnyInvocable<void(absl::StatusOr<std::unique_ptr<SpoolFile>>)> done);

// Sends the archive and ends the stream. Errors (to `done`): CANCELLED, those of reading.
void SendArchive(std::shared_ptr<MessageStream> stream, std::unique_ptr<ArchiveSource> source,
                 Executor& executor, absl::AnyInvocable<void(absl::Status)> done);

// Asks the client for credentials of `host`. No credentials are an answer, too.
void AskCredentials(std::shared_ptr<MessageStream> stream, const std::string& host,
                    const std::string& reference,
                    absl::AnyInvocable<void(absl::StatusOr<RegistryAccess>)> done);

}  // namespace berth::image

#endif  // BERTH_SERVER_IMAGE_ARCHIVE_STREAM_H_
