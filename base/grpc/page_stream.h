// Serves calls that answer with a long list, one message an item, page by page.
//
// gRPC's callback API hands each message's end to another thread: a list of thousands spends its
// time in thread changes. These calls go over a completion queue with one thread of its own, which
// starts the next message where the last one ended; messages are written as the bytes they are
// (a raw method), so that what is stored as a message is not parsed to be sent. Pages are read on
// the executor, each while the one before is written: a slow client holds neither a thread nor more
// memory than two pages.
//
// Invariant: of one call at most one operation is under way. Thread-safe but for Start and Stop.
// Owned by whoever builds the gRPC server.
#ifndef BERTH_BASE_GRPC_PAGE_STREAM_H_
#define BERTH_BASE_GRPC_PAGE_STREAM_H_

#include <grpcpp/server_builder.h>
#include <grpcpp/support/async_stream.h>
#include <grpcpp/support/byte_buffer.h>

#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "base/grpc/call_info.h"
#include "base/grpc/executor.h"
#include "base/os/mutex.h"

namespace berth {

// The messages of one page, encoded.
using MessagePage = std::vector<grpc::ByteBuffer>;
// Appends the next page's messages: true, or false where these were the last. May block.
using PageSource = absl::AnyInvocable<absl::StatusOr<bool>(MessagePage&)>;

class PageStreams {
 public:
  struct Method {
    // A service's generated Request<Method> of a raw method.
    std::function<void(grpc::ServerContext*, grpc::ByteBuffer* request,
                       grpc::ServerAsyncWriter<grpc::ByteBuffer>*, grpc::ServerCompletionQueue*,
                       void* tag)>
        request;
    // Runs on the executor for each call.
    std::function<absl::StatusOr<PageSource>(const CallInfo&, grpc::ByteBuffer& request)> open;
  };

  // Before the server is built.
  PageStreams(grpc::ServerBuilder& builder, Executor& executor);
  ~PageStreams();
  PageStreams(const PageStreams&) = delete;
  PageStreams& operator=(const PageStreams&) = delete;

  // After it is built: serves `methods` until the server is shut down.
  void Start(std::vector<Method> methods);
  // After the server was shut down, which ends all calls. Idempotent. Blocks.
  void Stop();

 private:
  class Call;

  void Run();
  void CountCalls(int change) ABSL_LOCKS_EXCLUDED(mutex_);

  Executor& executor_;
  const std::unique_ptr<grpc::ServerCompletionQueue> queue_;
  std::vector<Method> methods_;  // constant after Start
  std::thread thread_;
  bool stopped_ = false;
  Mutex mutex_;
  int calls_ ABSL_GUARDED_BY(mutex_) = 0;  // that began and have not ended
};

}  // namespace berth

#endif  // BERTH_BASE_GRPC_PAGE_STREAM_H_
