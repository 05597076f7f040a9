// What the worker that talks to registries does, by name.
//
// Thread-hostile where it confines, otherwise a function that is called once. The job server, the
// store and the table are borrowed.
#ifndef BERTH_SERVER_WORKER_FETCH_JOBS_H_
#define BERTH_SERVER_WORKER_FETCH_JOBS_H_

#include <memory>

#include "absl/status/statusor.h"
#include "server/worker/job_server.h"
#include "server/worker/progress_table.h"
#include "server/worker/store_directory.h"

namespace berth::worker {

// What the jobs share; it outlives them.
class FetchJobs {
 public:
  virtual ~FetchJobs() = default;
  // Registers all methods of service Registry with `jobs`.
  static std::unique_ptr<FetchJobs> Register(JobServer& jobs, const StoreDirectory& store,
                                             ProgressTable& progress);
};

// Confines the whole process: it can read what names and certificates need, and write uploads.
// Call it before any other thread is started.
absl::Status ConfineFetching(const StoreDirectory& store);

}  // namespace berth::worker

#endif  // BERTH_SERVER_WORKER_FETCH_JOBS_H_
