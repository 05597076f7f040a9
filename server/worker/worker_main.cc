// berth-worker: unpacks and makes layers for berthd.
//
// berthd starts it when there is work, with a socket of a pair as descriptor 3 and the directory of
// the content store as descriptor 4, and ends it by closing its end. It keeps nothing: whatever it
// was doing when it ends was not committed anywhere. It stays in the "C" locale (see
// archive_reader.h).
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "base/loop/loop.h"
#include "base/os/fd_factories.h"
#include "base/os/unique_fd.h"
#include "base/status/status_macros.h"
#include "base/ttrpc/server.h"
#include "server/worker/store_directory.h"
#include "server/worker/worker_service.h"

namespace berth::worker {
namespace {

constexpr int kSocketFd = 3;
constexpr int kStoreFd = 4;

absl::Status Serve() {
  BERTH_ASSIGN_OR_RETURN(const std::unique_ptr<Loop> loop, Loop::Create());
  const StoreDirectory store{UniqueFd(kStoreFd)};
  // A second descriptor of the socket tells of its end: the server keeps the first for itself.
  UniqueFd socket(kSocketFd);
  BERTH_ASSIGN_OR_RETURN(const UniqueFd hangup, DupFd(socket));
  WorkerService service(*loop, store);
  ttrpc::Server server(*loop);
  service.Register(server);
  BERTH_RETURN_IF_ERROR(server.AddConnection(std::move(socket)));
  BERTH_ASSIGN_OR_RETURN(const FdWatch watch, loop->Watch(hangup, EPOLLRDHUP, [](uint32_t) {
    // berthd has gone, or has no more work. A running job may be stopped
    // at any instruction: nobody waits for it, and nothing was committed.
    ::_exit(0);
  }));
  return loop->Run();
}

int Main(int argc, char** argv) {
  if (argc > 1 && absl::string_view(argv[1]) == "--version") {
    ::puts("berth-worker");
    return 0;
  }
  struct stat info;
  if (::fstat(kSocketFd, &info) != 0 || !S_ISSOCK(info.st_mode) || ::fstat(kStoreFd, &info) != 0 ||
      !S_ISDIR(info.st_mode)) {
    ::fputs("berth-worker: berthd starts this program by itself; there is nothing to run by hand\n",
            stderr);
    return 2;
  }
  (void)::prctl(PR_SET_NAME, "berth-worker", 0, 0, 0);
  ::umask(0);
  const absl::Status status = Serve();
  ::fprintf(stderr, "berth-worker: %s\n", status.ToString().c_str());
  return 1;
}

}  // namespace
}  // namespace berth::worker

int main(int argc, char** argv) { return berth::worker::Main(argc, argv); }
