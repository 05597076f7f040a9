#include "shim/service/supervisor_service.h"

#include <utility>

#include "base/status/status_macros.h"
#include "shim/service/policy_codec.h"

namespace berth::service {
namespace {

namespace v1 = berth::shim::v1;

constexpr char kService[] = "berth.shim.v1.Supervisor";
template <typename Request, typename Response>
void Add(ttrpc::Server& server, const char* method,
         absl::AnyInvocable<absl::StatusOr<Response>(const Request&)> handler) {
  server.Register(kService, method, [handler = std::move(handler)](ttrpc::Call call) mutable {
    Request request;
    if (!request.ParseFromString(call.payload())) {
      return call.Reply(absl::InvalidArgumentError("malformed request"));
    }
    const absl::StatusOr<Response> response = handler(request);
    if (!response.ok()) return call.Reply(response.status());
    call.Reply(response->SerializeAsString());
  });
}

}  // namespace

void SupervisorService::Register(ttrpc::Server& server) {
  Add<v1::SetPolicyRequest, v1::SetPolicyResponse>(
      server, "SetPolicy",
      [this](const v1::SetPolicyRequest& request) -> absl::StatusOr<v1::SetPolicyResponse> {
        BERTH_ASSIGN_OR_RETURN(LiveTask * task, find_(request.id()));
        BERTH_ASSIGN_OR_RETURN(LiveTask::Policy policy, DecodePolicy(request));
        task->SetPolicy(std::move(policy));
        return v1::SetPolicyResponse();
      });
  Add<v1::MarkStoppedRequest, v1::MarkStoppedResponse>(
      server, "MarkStopped",
      [this](const v1::MarkStoppedRequest& request) -> absl::StatusOr<v1::MarkStoppedResponse> {
        BERTH_ASSIGN_OR_RETURN(LiveTask * task, find_(request.id()));
        task->MarkStopped(request.stopped() ? task::UserStopped::kYes : task::UserStopped::kNo);
        return v1::MarkStoppedResponse();
      });
  Add<v1::GetStatusRequest, v1::GetStatusResponse>(
      server, "GetStatus",
      [this](const v1::GetStatusRequest& request) -> absl::StatusOr<v1::GetStatusResponse> {
        BERTH_ASSIGN_OR_RETURN(const LiveTask* task, find_(request.id()));
        v1::GetStatusResponse response;
        task->FillStatus(response);
        EncodePolicy(task->policy(), *response.mutable_restart());
        return response;
      });
  Add<v1::GetStepsRequest, v1::GetStepsResponse>(
      server, "GetSteps",
      [this](const v1::GetStepsRequest& request) -> absl::StatusOr<v1::GetStepsResponse> {
        BERTH_ASSIGN_OR_RETURN(const LiveTask* task, find_(request.id()));
        v1::GetStepsResponse response;
        task->FillSteps(response);
        return response;
      });
}

}  // namespace berth::service
