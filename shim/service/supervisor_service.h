// The ttrpc service berth.shim.v1.Supervisor over the tasks of this shim.
//
// Requests are checked here; what they mean is LiveTask's. Loop-only. Owned by TaskService, whose
// tasks it finds.
#ifndef BERTH_SHIM_SERVICE_SUPERVISOR_SERVICE_H_
#define BERTH_SHIM_SERVICE_SUPERVISOR_SERVICE_H_

#include <string>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "absl/status/statusor.h"
#include "base/ttrpc/server.h"
#include "proto/berth/shim/v1/supervisor.pb.h"
#include "shim/service/live_task.h"

namespace berth::service {

class SupervisorService {
 public:
  using FindTask = absl::AnyInvocable<absl::StatusOr<LiveTask*>(const std::string& id)>;
  explicit SupervisorService(FindTask find) : find_(std::move(find)) {}
  SupervisorService(const SupervisorService&) = delete;
  SupervisorService& operator=(const SupervisorService&) = delete;

  void Register(ttrpc::Server& server);

 private:
  FindTask find_;
};

}  // namespace berth::service

#endif  // BERTH_SHIM_SERVICE_SUPERVISOR_SERVICE_H_
