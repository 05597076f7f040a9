// berthd's side of the TLS door (tls_door.h): starts its process, takes the clients that it lets
// in, and starts it again should it die.
//
// Invariant: on_client is called on one thread, with clients that have shown a certificate; after
// Stop the process has ended and nobody accepts on the listener. Thread-compatible; owned by
// server/main.
#ifndef BERTH_SERVER_WORKER_CLIENT_DOOR_CLIENT_H_
#define BERTH_SERVER_WORKER_CLIENT_DOOR_CLIENT_H_

#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/log/logger.h"
#include "base/os/spawn.h"
#include "base/os/unique_fd.h"

namespace berth::worker {

class DoorClient {
 public:
  struct Options {
    std::string executable;  // berth-worker
    std::string ca;          // files, PEM; read each time the process is started
    std::string certificate;
    std::string key;
    std::string client_name;  // empty: any
  };
  using OnClient = std::function<void(UniqueFd socket)>;

  // Blocks until the door is open. `listener` and `log` outlive it. Errors: FAILED_PRECONDITION for
  // a certificate, key or authority that cannot be used; of reading them; UNAVAILABLE where the
  // process cannot be started.
  static absl::StatusOr<std::unique_ptr<DoorClient>> Start(Options options, BorrowedFd listener,
                                                           const Logger& log, OnClient on_client);
  ~DoorClient();
  DoorClient(const DoorClient&) = delete;
  DoorClient& operator=(const DoorClient&) = delete;

  // No further client is accepted; those that are there go on. Idempotent. Never blocks.
  void StopAccepting();
  // Ends the process, once it has passed on what clients were told. Idempotent. Blocks.
  void Stop();

 private:
  DoorClient(Options options, BorrowedFd listener, const Logger& log, OnClient on_client)
      : options_(std::move(options)),
        listener_(listener),
        log_(log),
        on_client_(std::move(on_client)) {}

  absl::Status StartProcess();
  void Run();
  bool TakeMessages();               // true: the process ended, and another is wanted
  bool Stopping(int wait_ms) const;  // either of the two

  const Options options_;
  const BorrowedFd listener_;
  const Logger& log_;
  const OnClient on_client_;
  UniqueFd stop_read_;
  UniqueFd stop_write_;   // a byte: StopAccepting; its end: Stop
  ChildProcess process_;  // from here the thread's
  UniqueFd control_;
  std::thread thread_;
};

}  // namespace berth::worker

#endif  // BERTH_SERVER_WORKER_CLIENT_DOOR_CLIENT_H_
