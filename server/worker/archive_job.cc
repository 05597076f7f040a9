#include <sys/stat.h>

#include <utility>
#include <vector>

#include "base/status/status_macros.h"
#include "server/worker/confinement.h"
#include "server/worker/jobs.h"
#include "snapshotter/layer/archive_members.h"

namespace berth::worker {

absl::StatusOr<v1::ReadArchiveResponse> RunReadArchive(const v1::ReadArchiveRequest& request,
                                                       const StoreDirectory& store,
                                                       const std::atomic<bool>& cancelled) {
  BERTH_ASSIGN_OR_RETURN(const UniqueFd archive, store.OpenUploadForReading(request.archive()));
  BERTH_ASSIGN_OR_RETURN(const UniqueFd plain, store.OpenUpload(request.plain()));
  BERTH_ASSIGN_OR_RETURN(const UniqueFd plain_again, store.OpenUploadForReading(request.plain()));
  BERTH_RETURN_IF_ERROR(Confine({})) << "confine the worker";
  v1::ReadArchiveResponse response;
  BERTH_ASSIGN_OR_RETURN(const layer::Packing packing, layer::FindPacking(archive));
  response.set_decompressed(packing == layer::Packing::kCompressed);
  if (response.decompressed()) {
    BERTH_RETURN_IF_ERROR(layer::DecompressArchive(archive, plain, cancelled));
  }
  BERTH_ASSIGN_OR_RETURN(
      const std::vector<layer::Member> members,
      layer::ListMembers(response.decompressed() ? plain_again : archive, cancelled));
  for (const layer::Member& member : members) {
    v1::ArchiveMember& copy = *response.add_members();
    copy.set_path(member.path);
    copy.set_offset(member.offset);
    copy.set_size(member.size_bytes);
    copy.set_link_target(member.link_target);
  }
  return response;
}

}  // namespace berth::worker
