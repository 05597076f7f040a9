#include "server/api/content_service.h"

#include <errno.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/grpc/bidi.h"
#include "base/grpc/unary.h"
#include "base/status/errno_status.h"
#include "base/status/status_macros.h"
#include "server/api/caller_of.h"
#include "server/api/content_write_session.h"

namespace berth {
namespace {

using metadata::Caller;

constexpr size_t kListedPerMessage = 100;
constexpr uint64_t kReadBytesPerMessage = 1u << 20;

// The part of a blob that a Read asks for.
struct ReadCursor {
  content::BlobFile blob;
  uint64_t offset = 0;
  uint64_t end = 0;
};

absl::StatusOr<bool> ReadNext(ReadCursor& cursor, ContentService::ReadResponse& response) {
  if (cursor.offset >= cursor.end) return false;
  std::string& data = *response.mutable_data();
  data.resize(std::min(cursor.end - cursor.offset, kReadBytesPerMessage));
  for (;;) {
    const ssize_t got =
        ::pread(cursor.blob.fd.get(), data.data(), data.size(), static_cast<off_t>(cursor.offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return ErrnoStatus(errno, "read the blob");
    if (got == 0) {
      return absl::DataLossError(absl::StrCat("the blob ends at byte ", cursor.offset, " of ",
                                              cursor.blob.size, ": pull the image again"));
    }
    data.resize(static_cast<size_t>(got));
    break;
  }
  response.set_offset(static_cast<int64_t>(cursor.offset));
  cursor.offset += data.size();
  return true;
}

std::vector<std::string> Strings(const google::protobuf::RepeatedPtrField<std::string>& strings) {
  return {strings.begin(), strings.end()};
}

}  // namespace

grpc::ServerUnaryReactor* ContentService::Info(grpc::CallbackServerContext* context,
                                               const InfoRequest* request, InfoResponse* response) {
  return Unary(context, executor_, request, response,
               WithCaller([this](const CallInfo&, const Caller& caller,
                                 const InfoRequest& request) -> absl::StatusOr<InfoResponse> {
                 InfoResponse response;
                 BERTH_ASSIGN_OR_RETURN(*response.mutable_info(),
                                        store_.GetInfo(caller, request.digest()));
                 return response;
               }));
}

grpc::ServerUnaryReactor* ContentService::Update(grpc::CallbackServerContext* context,
                                                 const UpdateRequest* request,
                                                 UpdateResponse* response) {
  return Unary(context, executor_, request, response,
               WithCaller([this](const CallInfo&, const Caller& caller,
                                 const UpdateRequest& request) -> absl::StatusOr<UpdateResponse> {
                 UpdateResponse response;
                 BERTH_ASSIGN_OR_RETURN(
                     *response.mutable_info(),
                     store_.Update(caller, request.info(), Strings(request.update_mask().paths())));
                 return response;
               }));
}

grpc::ServerWriteReactor<ContentService::ListResponse>* ContentService::List(
    grpc::CallbackServerContext* context, const ListRequest* request) {
  return PullStream<ListResponse>(
      context, executor_, request,
      [this](const CallInfo& call, const ListRequest& request) { return OpenList(call, request); });
}

absl::StatusOr<StreamSource<ContentService::ListResponse>> ContentService::OpenList(
    const CallInfo& call, const ListRequest& request) {
  BERTH_ASSIGN_OR_RETURN(Caller caller, CallerOf(call));
  return StreamSource<ListResponse>(
      [this, caller = std::move(caller), filters = Strings(request.filters()),
       after = std::string(),
       ended = false](ListResponse& response) mutable -> absl::StatusOr<bool> {
        if (ended) return false;
        BERTH_ASSIGN_OR_RETURN(content::ContentStore::Page page,
                               store_.List(caller, filters, after, kListedPerMessage));
        for (auto& info : page.infos) *response.add_info() = std::move(info);
        after = page.after;
        ended = after.empty();
        return response.info_size() > 0;
      });
}

grpc::ServerUnaryReactor* ContentService::Delete(grpc::CallbackServerContext* context,
                                                 const DeleteRequest* request, Empty* response) {
  return Unary(
      context, executor_, request, response,
      WithCaller([this](const CallInfo&, const Caller& caller, const DeleteRequest& request) {
        return store_.Delete(caller, request.digest());
      }));
}

grpc::ServerWriteReactor<ContentService::ReadResponse>* ContentService::Read(
    grpc::CallbackServerContext* context, const ReadRequest* request) {
  return PullStream<ReadResponse>(
      context, executor_, request,
      [this](const CallInfo& call, const ReadRequest& request) { return OpenRead(call, request); });
}

absl::StatusOr<StreamSource<ContentService::ReadResponse>> ContentService::OpenRead(
    const CallInfo& call, const ReadRequest& request) {
  BERTH_ASSIGN_OR_RETURN(const Caller caller, CallerOf(call));
  ReadCursor cursor;
  BERTH_ASSIGN_OR_RETURN(cursor.blob, store_.OpenBlob(caller, request.digest()));
  const uint64_t size = cursor.blob.size;
  cursor.offset = request.offset() < 0 ? 0 : static_cast<uint64_t>(request.offset());
  if (cursor.offset > size) {
    return absl::OutOfRangeError(absl::StrCat("read past object length ", size, " bytes"));
  }
  const uint64_t rest = size - cursor.offset;
  const bool to_the_end = request.size() <= 0 || static_cast<uint64_t>(request.size()) > rest;
  cursor.end = cursor.offset + (to_the_end ? rest : static_cast<uint64_t>(request.size()));
  return StreamSource<ReadResponse>([cursor = std::move(cursor)](ReadResponse& response) mutable {
    return ReadNext(cursor, response);
  });
}

grpc::ServerUnaryReactor* ContentService::Status(grpc::CallbackServerContext* context,
                                                 const StatusRequest* request,
                                                 StatusResponse* response) {
  return Unary(context, executor_, request, response,
               WithCaller([this](const CallInfo&, const Caller& caller,
                                 const StatusRequest& request) -> absl::StatusOr<StatusResponse> {
                 StatusResponse response;
                 BERTH_ASSIGN_OR_RETURN(*response.mutable_status(),
                                        store_.GetStatus(caller, request.ref()));
                 return response;
               }));
}

grpc::ServerUnaryReactor* ContentService::ListStatuses(grpc::CallbackServerContext* context,
                                                       const ListStatusesRequest* request,
                                                       ListStatusesResponse* response) {
  return Unary(
      context, executor_, request, response,
      WithCaller([this](const CallInfo&, const Caller& caller, const ListStatusesRequest& request)
                     -> absl::StatusOr<ListStatusesResponse> {
        BERTH_ASSIGN_OR_RETURN(auto statuses,
                               store_.ListStatuses(caller, Strings(request.filters())));
        ListStatusesResponse response;
        for (auto& status : statuses) *response.add_statuses() = std::move(status);
        return response;
      }));
}

grpc::ServerBidiReactor<ContentService::WriteRequest, ContentService::WriteResponse>*
ContentService::Write(grpc::CallbackServerContext* context) {
  return Bidi<WriteRequest, WriteResponse>(
      context, executor_,
      [this](const CallInfo& call) -> std::unique_ptr<BidiSession<WriteRequest, WriteResponse>> {
        return std::make_unique<ContentWriteSession>(store_, call);
      });
}

grpc::ServerUnaryReactor* ContentService::Abort(grpc::CallbackServerContext* context,
                                                const AbortRequest* request, Empty* response) {
  return Unary(
      context, executor_, request, response,
      WithCaller([this](const CallInfo&, const Caller& caller, const AbortRequest& request) {
        return store_.Abort(caller, request.ref());
      }));
}

}  // namespace berth
