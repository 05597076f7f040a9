// berth-worker: unpacks and makes layers for berthd ("unpack"), talks to registries ("fetch"), or
// serves TLS ("door", see tls_door.h).
//
// berthd starts it when there is work, with a socket of a pair as descriptor 3, the directory of
// the content store as descriptor 4 and the table of progress as 5, and ends it by closing its end.
// It keeps nothing: whatever it was doing when it ends was not committed anywhere. It stays in the
// "C" locale (see archive_reader.h).
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "base/loop/loop.h"
#include "base/os/fd_factories.h"
#include "base/os/lock_checks.h"
#include "base/os/unique_fd.h"
#include "base/status/status_macros.h"
#include "base/ttrpc/server.h"
#include "proto/berth/worker/v1/worker.pb.h"
#include "server/worker/fetch_jobs.h"
#include "server/worker/job_server.h"
#include "server/worker/jobs.h"
#include "server/worker/progress_table.h"
#include "server/worker/store_directory.h"
#include "server/worker/tls_door.h"

namespace berth::worker {
namespace {

constexpr int kSocketFd = 3;
constexpr int kStoreFd = 4;
constexpr int kProgressFd = 5;

void RegisterUnpack(JobServer& jobs, const StoreDirectory& store, ProgressTable& progress) {
  jobs.Register<v1::ApplyRequest>(
      "Apply", [&](const v1::ApplyRequest& request, const std::atomic<bool>& cancelled) {
        return RunApply(request, store, progress, cancelled);
      });
  jobs.Register<v1::DiffRequest>(
      "Diff", [&](const v1::DiffRequest& request, const std::atomic<bool>& cancelled) {
        return RunDiff(request, store, cancelled);
      });
  jobs.Register<v1::RecompressRequest>(
      "Recompress", [&](const v1::RecompressRequest& request, const std::atomic<bool>& cancelled) {
        return RunRecompress(request, store, cancelled);
      });
  jobs.Register<v1::ReadArchiveRequest>("ReadArchive", [&](const v1::ReadArchiveRequest& request,
                                                           const std::atomic<bool>& cancelled) {
    return RunReadArchive(request, store, cancelled);
  });
}

absl::Status Serve(absl::string_view kind) {
  BERTH_ASSIGN_OR_RETURN(const std::unique_ptr<Loop> loop, Loop::Create());
  const StoreDirectory store{UniqueFd(kStoreFd)};
  BERTH_ASSIGN_OR_RETURN(const std::unique_ptr<ProgressTable> progress,
                         ProgressTable::Map(UniqueFd(kProgressFd)));
  // A second descriptor of the socket tells of its end: the server keeps the first for itself.
  UniqueFd socket(kSocketFd);
  BERTH_ASSIGN_OR_RETURN(const UniqueFd hangup, DupFd(socket));
  ttrpc::Server server(*loop);
  JobServer jobs(*loop, server,
                 kind == "unpack" ? "berth.worker.v1.Worker" : "berth.worker.v1.Registry");
  std::unique_ptr<FetchJobs> fetch;
  if (kind == "fetch") {
    BERTH_RETURN_IF_ERROR(ConfineFetching(store)) << "confine the worker";
    fetch = FetchJobs::Register(jobs, store, *progress);
  } else {
    RegisterUnpack(jobs, store, *progress);
  }
  BERTH_RETURN_IF_ERROR(server.AddConnection(std::move(socket)));
  BERTH_ASSIGN_OR_RETURN(const FdWatch watch, loop->Watch(hangup, EPOLLRDHUP, [](uint32_t) {
    // berthd has gone, or has no more work. A running job may be stopped
    // at any instruction: nobody waits for it, and nothing was committed.
    ::_exit(0);
  }));
  return loop->Run();
}

bool IsSocket(int fd) {
  struct stat info;
  return ::fstat(fd, &info) == 0 && S_ISSOCK(info.st_mode);
}

// Descriptors and arguments are as berthd gives them to this kind of process.
bool IsStartedRight(absl::string_view kind, int argc) {
  if (!IsSocket(kSocketFd)) return false;
  if (kind == "door") return argc == 3 && IsSocket(kStoreFd);
  struct stat info;
  return (kind == "unpack" || kind == "fetch") && ::fstat(kStoreFd, &info) == 0 &&
         S_ISDIR(info.st_mode) && ::fstat(kProgressFd, &info) == 0;
}

int Main(int argc, char** argv) {
  if (argc > 1 && absl::string_view(argv[1]) == "--version") {
    ::puts("berth-worker");
    return 0;
  }
  const absl::string_view kind = argc > 1 ? absl::string_view(argv[1]) : absl::string_view();
  if (!IsStartedRight(kind, argc)) {
    ::fputs("berth-worker: berthd starts this program by itself; there is nothing to run by hand\n",
            stderr);
    return 2;
  }
  (void)::prctl(PR_SET_NAME, "berth-worker", 0, 0, 0);
  ::umask(0);
  const absl::Status status = kind == "door" ? ServeTlsDoor(argv[2]) : Serve(kind);
  if (status.ok()) return 0;
  ::fprintf(stderr, "berth-worker: %s\n", status.ToString().c_str());
  return 1;
}

}  // namespace
}  // namespace berth::worker

int main(int argc, char** argv) {
  berth::DropLockOrderChecks();
  return berth::worker::Main(argc, argv);
}
